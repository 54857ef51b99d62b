import NIOCore
import Testing

@testable import RPC

/// What a server does with compressed messages, seen on the wire (gRPC's compression.md).
@Suite(.timeLimit(.minutes(5))) struct ServerCompressionTests {
  private static let text = [UInt8](repeating: UInt8(ascii: "x"), count: 1000)
  private static let gzip = [("grpc-encoding", "gzip" as String?)]
  private static let accepts = [("grpc-accept-encoding", "identity, gzip" as String?)]

  /// Answers with what was asked, compressed.
  private static var compressing: EchoService {
    var service = EchoService()
    service.unary = { request, context in
      context.compressResponses()
      return request
    }
    service.chat = { requests, context, responses in
      context.compressResponses()
      for try await request in requests {
        try await responses.write(request, compressed: request.bytes.first != 0)
      }
    }
    return service
  }

  private func ask(
    of service: EchoService = EchoService(),
    limits configuration: ServerConfiguration = ServerConfiguration(),
    method: String = "Unary",
    _ fields: [(String, String?)],
    _ body: [UInt8]
  ) async throws -> RawReply {
    var reply: RawReply?
    try await withServer(service, configuration) { _, port in
      reply = RawReply(
        try await RawPeer.exchange(port: port, callHead("/test.Echo/\(method)", fields), body)
      )
    }
    return try #require(reply)
  }

  @Test(arguments: ["Unary", "Collect", "Expand"])
  func `compressed requests are read`(method: String) async throws {
    var service = EchoService()
    service.expand = { request, _, responses in try await responses.write(request) }
    let reply = try await ask(of: service, method: method, Self.gzip, gzipMessage(Self.text))
    #expect(reply.status == "0")
    #expect(reply.messages == [.init(flag: 0, bytes: Self.text)])
    // A client that compresses is told what else it may.
    #expect(reply.head("grpc-accept-encoding") == "identity,gzip")
    #expect(reply.head("grpc-encoding") == nil)
  }

  @Test func `compressed and plain requests may follow each other`() async throws {
    let reply = try await ask(
      method: "Collect",
      Self.gzip,
      try gzipMessage(Self.text) + wireMessage("plain") + gzipMessage(Self.text)
    )
    #expect(reply.status == "0")
    #expect(try reply.messages.first?.plain() == Self.text + Array("plain".utf8) + Self.text)
  }

  @Test func `a message of no bytes may be flagged`() async throws {
    let reply = try await ask(Self.gzip, wireMessage([], flag: 1))
    #expect(reply.status == "0")
    #expect(reply.messages == [.init(flag: 0, bytes: [])])
  }

  @Test func `a flag without an encoding is INTERNAL`() async throws {
    for fields: [(String, String?)] in [[], [("grpc-encoding", "identity")]] {
      let reply = try await ask(fields, gzipMessage(Self.text))
      #expect(reply.status == "13")
    }
  }

  @Test(arguments: ["snappy", "deflate", "GZIP", "gzip,identity"])
  func `an unknown encoding is UNIMPLEMENTED and the known ones are told`(
    name: String
  ) async throws {
    let reply = try await ask([("grpc-encoding", name)], gzipMessage(Self.text))
    #expect(reply.status == "12")
    #expect(reply.head("grpc-accept-encoding") == "identity,gzip")
    #expect(reply.isTrailersOnly)
  }

  @Test func `bytes that are not gzip are INTERNAL`() async throws {
    for method in ["Unary", "Collect"] {
      let reply = try await ask(method: method, Self.gzip, wireMessage(Self.text, flag: 1))
      #expect(reply.status == "13")
    }
  }

  @Test func `a message that inflates above the limit is RESOURCE_EXHAUSTED`() async throws {
    var configuration = ServerConfiguration()
    configuration.maxMessageBytes = 100_000
    for method in ["Unary", "Collect", "Expand", "Chat"] {
      let bomb = try gzipMessage([UInt8](repeating: 0, count: 5_000_000))
      #expect(bomb.count < 50_000)
      let reply = try await ask(
        limits: configuration,
        method: method,
        Self.gzip,
        bomb
      )
      #expect(reply.status == "8")
    }
  }

  @Test func `responses are compressed for clients that accept it`() async throws {
    let reply = try await ask(of: Self.compressing, Self.accepts, wireMessage(Self.text))
    #expect(reply.status == "0")
    #expect(reply.head("grpc-encoding") == "gzip")
    #expect(reply.messages.map(\.flag) == [1])
    #expect(reply.messages.first.map(\.bytes.count) ?? 1000 < 100)
    #expect(try reply.messages.first?.plain() == Self.text)
  }

  @Test(arguments: [nil, "identity", "deflate", "", "xgzip"])
  func `responses go as they are to clients that do not accept it`(value: String?) async throws {
    let reply = try await ask(
      of: Self.compressing,
      [("grpc-accept-encoding", value)] + Self.gzip,
      gzipMessage(Self.text)
    )
    #expect(reply.status == "0")
    #expect(reply.head("grpc-encoding") == nil)
    #expect(reply.messages == [.init(flag: 0, bytes: Self.text)])
  }

  @Test func `each response says whether it is compressed`() async throws {
    let plain = [0] + Self.text
    let reply = try await ask(
      of: Self.compressing,
      method: "Chat",
      Self.accepts,
      wireMessage(Self.text) + wireMessage(plain) + wireMessage("short") + wireMessage(Self.text)
    )
    #expect(reply.status == "0")
    #expect(reply.head("grpc-encoding") == "gzip")
    #expect(reply.messages.map(\.flag) == [1, 0, 0, 1])
    #expect(
      try reply.messages.map { try $0.plain() } == [
        Self.text, plain, Array("short".utf8), Self.text,
      ]
    )
  }

  @Test func `the encoding does not change once a response went out`() async throws {
    var service = EchoService()
    service.chat = { requests, context, responses in
      for try await request in requests {
        try await responses.write(request)
        context.compressResponses()
      }
    }
    let reply = try await ask(
      of: service,
      method: "Chat",
      Self.accepts,
      wireMessage(Self.text) + wireMessage(Self.text)
    )
    #expect(reply.head("grpc-encoding") == nil)
    #expect(reply.messages.map(\.flag) == [0, 0])
  }

  @Test func `an error has no encoding`() async throws {
    var service = EchoService()
    service.unary = { _, context in
      context.compressResponses()
      throw RPCError(.aborted, "no")
    }
    let reply = try await ask(of: service, Self.accepts, wireMessage("x"))
    #expect(reply.status == "10")
    #expect(reply.isTrailersOnly)
    #expect(reply.head("grpc-encoding") == nil)
  }
}
