@testable import RPC

/// The methods of gRPC's interop test service.
enum TestMethods {
  static let service = "grpc.testing.TestService"
  static let emptyCall = MethodDescriptor(service: service, method: "EmptyCall", kind: .unary)
  static let unaryCall = MethodDescriptor(service: service, method: "UnaryCall", kind: .unary)
  static let cacheableUnaryCall = MethodDescriptor(
    service: service,
    method: "CacheableUnaryCall",
    kind: .unary
  )
  /// The same on the wire, but read as a stream: what it tells of the message is of use to tests.
  static let unaryCallAsStream = MethodDescriptor(
    service: service,
    method: "UnaryCall",
    kind: .serverStreaming
  )
  static let streamingOutputCall = MethodDescriptor(
    service: service,
    method: "StreamingOutputCall",
    kind: .serverStreaming
  )
  static let streamingInputCall = MethodDescriptor(
    service: service,
    method: "StreamingInputCall",
    kind: .clientStreaming
  )
  static let fullDuplexCall = MethodDescriptor(
    service: service,
    method: "FullDuplexCall",
    kind: .bidirectional
  )
  static let unimplementedCall = MethodDescriptor(
    service: service,
    method: "UnimplementedCall",
    kind: .unary
  )
  static let unimplementedService = MethodDescriptor(
    service: "grpc.testing.UnimplementedService",
    method: "UnimplementedCall",
    kind: .unary
  )
}

/// gRPC's interop test service (interop-test-descriptions.md, "Server").
struct TestService: RPCService {
  static let serviceName = TestMethods.service
  static let initialName = "x-grpc-test-echo-initial"
  static let trailingName = "x-grpc-test-echo-trailing-bin"

  func register(in router: inout Router) {
    router.unary(TestMethods.emptyCall) { (_: EmptyMessage, _) in EmptyMessage() }
    router.unary(TestMethods.unaryCall, unary)
    router.unary(TestMethods.cacheableUnaryCall) { (request: SimpleRequest, context) in
      var metadata = Metadata()
      metadata.add("max-age=60, public", for: "cache-control")
      context.setInitialMetadata(metadata)
      return try await unary(request, context)
    }
    router.serverStreaming(TestMethods.streamingOutputCall) {
      (request: StreamingOutputRequest, context, responses) in
      try await answer(request, context, responses)
    }
    router.clientStreaming(TestMethods.streamingInputCall) {
      (requests: RequestStream<StreamingInputRequest>, context) in
      var response = StreamingInputResponse()
      for try await request in requests {
        try check(request.expectCompressed, requests.lastWasCompressed)
        response.aggregatedPayloadSize += request.payload?.body.count ?? 0
      }
      return response
    }
    router.bidirectional(TestMethods.fullDuplexCall) {
      (requests: RequestStream<StreamingOutputRequest>, context, responses) in
      echoMetadata(context)
      for try await request in requests { try await answer(request, context, responses) }
    }
  }

  private func unary(
    _ request: SimpleRequest,
    _ context: ServerContext
  ) async throws -> SimpleResponse {
    echoMetadata(context)
    try check(request.expectCompressed, context.response.requestWasCompressed)
    try check(request.responseStatus)
    if request.responseCompressed?.value == true { context.compressResponses() }
    return SimpleResponse(payload: Payload(size: request.responseSize))
  }

  private func answer(
    _ request: StreamingOutputRequest,
    _ context: ServerContext,
    _ responses: ResponseWriter<StreamingOutputResponse>
  ) async throws {
    try check(request.responseStatus)
    if request.parameters.contains(where: { $0.compressed?.value == true }) {
      context.compressResponses()
    }
    for parameters in request.parameters {
      if parameters.intervalMicroseconds > 0 {
        try await Task.sleep(for: .microseconds(parameters.intervalMicroseconds))
      }
      try await responses.write(
        StreamingOutputResponse(payload: Payload(size: parameters.size)),
        compressed: parameters.compressed?.value == true
      )
    }
  }

  private func echoMetadata(_ context: ServerContext) {
    var initial = Metadata()
    for value in context.metadata.all(Self.initialName) {
      initial.add(value, for: Self.initialName)
    }
    context.setInitialMetadata(Metadata(adding: initial, to: context.initialMetadata))
    var trailing = Metadata()
    for value in context.metadata.allBytes(Self.trailingName) {
      trailing.add(value, for: Self.trailingName)
    }
    context.setTrailingMetadata(trailing)
  }

  private func check(_ status: EchoStatus?) throws {
    guard let status, status.code != 0 else { return }
    throw RPCError(StatusCode(rawValue: status.code) ?? .unknown, status.message)
  }

  private func check(_ expected: BoolValue?, _ isCompressed: Bool) throws {
    guard let expected, expected.value != isCompressed else { return }
    throw RPCError(.invalidArgument, "compressed: \(isCompressed), expected \(expected.value)")
  }
}

extension Metadata {
  fileprivate init(adding other: Metadata, to first: Metadata) {
    self = first
    add(other)
  }
}
