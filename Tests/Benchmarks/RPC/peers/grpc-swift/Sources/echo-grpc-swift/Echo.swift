import GRPCCore

/// `message EchoMessage { bytes payload = 1; uint32 count = 2; }`, coded by hand so that the peer
/// needs no plugin; as little work as a generated codec could do.
struct EchoMessage: Sendable {
  var payload: [UInt8] = []
  var count = 0
}

struct EchoCodec: MessageSerializer, MessageDeserializer {
  func serialize<Bytes: GRPCContiguousBytes>(_ message: EchoMessage) throws -> Bytes {
    var head: [UInt8] = []
    if !message.payload.isEmpty {
      head.append(0x0a)
      append(message.payload.count, to: &head)
    }
    var tail: [UInt8] = []
    if message.count > 0 {
      tail.append(0x10)
      append(message.count, to: &tail)
    }
    var bytes = Bytes(
      repeating: 0,
      count: head.count + message.payload.count + tail.count
    )
    bytes.withUnsafeMutableBytes { target in
      target.copyBytes(from: head)
      UnsafeMutableRawBufferPointer(rebasing: target[head.count...]).copyBytes(
        from: message.payload
      )
      UnsafeMutableRawBufferPointer(rebasing: target[(head.count + message.payload.count)...])
        .copyBytes(from: tail)
    }
    return bytes
  }

  func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> EchoMessage {
    try bytes.withUnsafeBytes { bytes in
      var message = EchoMessage()
      var index = 0
      while index < bytes.count {
        let tag = bytes[index]
        index += 1
        let value = try varint(bytes, &index)
        switch tag {
        case 0x0a:
          guard value <= bytes.count - index else { throw malformed }
          message.payload = Array(bytes[index..<index + value])
          index += value
        case 0x10: message.count = value
        default: throw malformed
        }
      }
      return message
    }
  }

  private var malformed: RPCError { RPCError(code: .invalidArgument, message: "not a message") }

  private func varint(_ bytes: UnsafeRawBufferPointer, _ index: inout Int) throws -> Int {
    var value = 0
    for shift in stride(from: 0, to: 35, by: 7) {
      guard index < bytes.count else { throw malformed }
      let byte = bytes[index]
      index += 1
      value |= Int(byte & 0x7f) << shift
      if byte < 0x80 { return value }
    }
    throw malformed
  }

  private func append(_ value: Int, to bytes: inout [UInt8]) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
}

enum EchoMethods {
  static let unary = MethodDescriptor(fullyQualifiedService: "llmos.bench.Echo", method: "Unary")
  static let expand = MethodDescriptor(fullyQualifiedService: "llmos.bench.Echo", method: "Expand")
  static let chat = MethodDescriptor(fullyQualifiedService: "llmos.bench.Echo", method: "Chat")
}

/// Answers a request with its payload, `count` times over, or each request with itself.
struct EchoService: RegistrableRPCService {
  func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
    router.registerHandler(
      forMethod: EchoMethods.unary,
      deserializer: EchoCodec(),
      serializer: EchoCodec()
    ) { request, _ in
      let request = try await ServerRequest(stream: request)
      return StreamingServerResponse(single: ServerResponse(message: request.message))
    }
    router.registerHandler(
      forMethod: EchoMethods.expand,
      deserializer: EchoCodec(),
      serializer: EchoCodec()
    ) { request, _ in
      let message = try await ServerRequest(stream: request).message
      return StreamingServerResponse { writer in
        let answer = EchoMessage(payload: message.payload)
        for _ in 0..<message.count { try await writer.write(answer) }
        return [:]
      }
    }
    router.registerHandler(
      forMethod: EchoMethods.chat,
      deserializer: EchoCodec(),
      serializer: EchoCodec()
    ) { request, _ in
      StreamingServerResponse { writer in
        for try await message in request.messages { try await writer.write(message) }
        return [:]
      }
    }
  }
}
