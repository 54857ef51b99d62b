import RPC

enum EchoMethods {
  static let service = "llmos.bench.Echo"
  static let unary = MethodDescriptor(service: service, method: "Unary", kind: .unary)
  static let expand = MethodDescriptor(service: service, method: "Expand", kind: .serverStreaming)
  static let chat = MethodDescriptor(service: service, method: "Chat", kind: .bidirectional)
}

/// Answers a request with itself, with its payload `count` times over, or each request with itself.
struct EchoService: RPCService {
  static let serviceName = EchoMethods.service

  func register(in router: inout Router) {
    router.unary(EchoMethods.unary) { (request: EchoMessage, _) in request }
    router.serverStreaming(EchoMethods.expand) {
      (request: EchoMessage, _, responses: ResponseWriter<EchoMessage>) in
      let answer = EchoMessage(payload: request.payload)
      for _ in 0..<request.count { try await responses.write(answer) }
    }
    router.bidirectional(EchoMethods.chat) {
      (requests: RequestStream<EchoMessage>, _, responses: ResponseWriter<EchoMessage>) in
      for try await request in requests { try await responses.write(request) }
    }
  }
}
