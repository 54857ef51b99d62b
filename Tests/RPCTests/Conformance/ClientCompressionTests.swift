import NIOCore
import Synchronization
import Testing

@testable import RPC

/// What a client does with compressed messages, seen on the wire (gRPC's compression.md).
@Suite(.timeLimit(.minutes(5))) struct ClientCompressionTests {
  private static let text = [UInt8](repeating: UInt8(ascii: "x"), count: 1000)
  private static let gzip = CallOptions(compression: .gzip)

  /// A request as it stood on the wire.
  private struct Seen: Sendable {
    var head: [HeaderField] = []
    var messages: [RawReply.Message] = []
  }

  /// Runs `body` against a server that notes each request and answers "ok".
  private func seen(_ body: (RPCChannel) async throws -> Void) async throws -> [Seen] {
    let seen = Mutex<[Seen]>([])
    try await RawServer.with { server, stream, _ in
      let head = server.heads[stream] ?? []
      let messages = RawReply.messages(in: server.bodies[stream] ?? [])
      seen.withLock { $0.append(Seen(head: head, messages: messages)) }
      server.session.answer(stream, "ok")
    } _: {
      try await body($0)
    }
    return seen.withLock { $0 }
  }

  /// What a unary call makes of an answer.
  private func call(
    _ fields: [HeaderField],
    _ body: [UInt8],
    status: String = "0"
  ) async throws -> Result<Bytes, RPCError> {
    var result: Result<Bytes, RPCError>?
    try await RawServer.with { server, stream, _ in
      server.session.submitResponse(stream, responseHead + fields, endStream: false)
      server.session.send(stream, body)
      server.session.finish(stream, trailers: [HeaderField("grpc-status", status)])
    } _: { channel in
      do throws(RPCError) {
        result = .success(try await channel.unary(EchoMethods.unary, Bytes("x")))
      } catch {
        result = .failure(error)
      }
    }
    return try #require(result)
  }

  private func code(_ fields: [HeaderField], _ body: [UInt8]) async throws -> StatusCode? {
    guard case .failure(let error) = try await call(fields, body) else { return nil }
    return error.code
  }

  @Test func `every request says what its answer may be compressed with`() async throws {
    let requests = try await seen { channel in
      _ = try await channel.unary(EchoMethods.unary, Bytes(Self.text)) as Bytes
    }
    #expect(requests.first?.head.first("grpc-accept-encoding") == "identity,gzip")
    #expect(requests.first?.head.first("grpc-encoding") == nil)
    #expect(requests.first?.messages == [.init(flag: 0, bytes: Self.text)])
  }

  @Test func `a unary request is compressed on demand`() async throws {
    let requests = try await seen { channel in
      _ = try await channel.unary(EchoMethods.unary, Bytes(Self.text), options: Self.gzip) as Bytes
    }
    #expect(requests.first?.head.first("grpc-encoding") == "gzip")
    #expect(requests.first?.messages.map(\.flag) == [1])
    #expect(try requests.first?.messages.first?.plain() == Self.text)
  }

  @Test func `each request of a stream says whether it is compressed`() async throws {
    let requests = try await seen { channel in
      _ =
        try await channel.clientStreaming(EchoMethods.collect, options: Self.gzip) {
          (requests: RequestWriter<Bytes>) in
          try await requests.write(Bytes(Self.text))
          try await requests.write(Bytes(Self.text), compressed: false)
          try await requests.write("short")
          try await requests.write(Bytes(Self.text))
        } as Bytes
    }
    let messages = requests.first?.messages ?? []
    #expect(messages.map(\.flag) == [1, 0, 0, 1])
    #expect(
      try messages.map { try $0.plain() } == [
        Self.text, Self.text, Array("short".utf8), Self.text,
      ]
    )
  }

  @Test func `a server that refuses gzip gets no more of it`() async throws {
    let encodings = Mutex<[String?]>([])
    try await RawServer.with { server, stream, before in
      encodings.withLock { $0.append(server.heads[stream]?.first("grpc-encoding")) }
      guard before == 0 else { return server.session.answer(stream, "ok") }
      server.session.submitResponse(
        stream,
        responseHead + [
          HeaderField("grpc-status", "12"), HeaderField("grpc-accept-encoding", "identity"),
        ],
        endStream: true
      )
    } _: { channel in
      let request = Bytes(Self.text)
      let error = try await failure {
        try await channel.unary(EchoMethods.unary, request, options: Self.gzip) as Bytes
      }
      #expect(error.code == .unimplemented)
      let answer: Bytes = try await channel.unary(EchoMethods.unary, request, options: Self.gzip)
      #expect(answer == "ok")
    }
    #expect(encodings.withLock { $0 } == ["gzip", nil])
  }

  @Test func `a response that cannot be decompressed ends its call`() async throws {
    try await RawServer.with { server, stream, _ in
      let fields = [HeaderField("grpc-encoding", "gzip")]
      server.session.submitResponse(stream, responseHead + fields, endStream: false)
      server.session.send(stream, [1, 0, 0, 0, 3, 7, 7, 7])
    } _: { channel in
      let error = try await failure {
        try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes
      }
      #expect(error.code == .internal)
      let core = channel.lifetime.core
      let counts = try await core.eventLoop.submit { core.counts() }.get()
      #expect(counts == ChannelCore.Counts())
    }
  }

  @Test func `compressed and plain responses are read`() async throws {
    let fields = [HeaderField("grpc-encoding", "gzip")]
    let packed = try await call(fields, gzipMessage(Self.text))
    #expect(try packed.get() == Bytes(Self.text))
    let plain = try await call(fields, wireMessage(Self.text))
    #expect(try plain.get() == Bytes(Self.text))
    let empty = try await call(fields, wireMessage([], flag: 1))
    #expect(try empty.get() == Bytes([]))
  }

  @Test func `a stream of responses may mix both`() async throws {
    try await RawServer.with { server, stream, _ in
      server.session.submitResponse(
        stream,
        responseHead + [HeaderField("grpc-encoding", "gzip")],
        endStream: false
      )
      for _ in 0..<3 {
        server.session.send(stream, (try? gzipMessage(Self.text)) ?? [])
        server.session.send(stream, wireMessage("plain"))
      }
      server.session.finish(stream, trailers: [HeaderField("grpc-status", "0")])
    } _: { channel in
      let responses: ResponseStream<Bytes> = try await channel.serverStreaming(
        EchoMethods.expand,
        Bytes("x")
      )
      let all = try await responses.reduce(into: []) { $0.append($1) }
      #expect(
        all == [Bytes(Self.text), "plain", Bytes(Self.text), "plain", Bytes(Self.text), "plain"]
      )
    }
  }

  @Test func `a flag without a known encoding is INTERNAL`() async throws {
    let body = try gzipMessage(Self.text)
    for name in ["identity", "snappy", "deflate", "br"] {
      #expect(try await code([HeaderField("grpc-encoding", name)], body) == .internal)
    }
    #expect(try await code([], body) == .internal)
  }

  @Test func `an unknown encoding that no message uses does no harm`() async throws {
    let fields = [HeaderField("grpc-encoding", "snappy")]
    #expect(try await call(fields, wireMessage("x")).get() == "x")
  }

  @Test func `bytes that are not gzip are INTERNAL`() async throws {
    let fields = [HeaderField("grpc-encoding", "gzip")]
    #expect(try await code(fields, wireMessage(Self.text, flag: 1)) == .internal)
    #expect(try await code(fields, wireMessage("x").map { $0 } + [1]) == .internal)
  }

  @Test func `a response that inflates above the limit is RESOURCE_EXHAUSTED`() async throws {
    let bomb = try gzipMessage([UInt8](repeating: 0, count: 4 * 1024 * 1024 + 1))
    #expect(try await code([HeaderField("grpc-encoding", "gzip")], bomb) == .resourceExhausted)
  }

  @Test func `our client and server agree on gzip`() async throws {
    var service = EchoService()
    service.unary = { request, context in
      context.compressResponses()
      return request
    }
    service.chat = { requests, context, responses in
      context.compressResponses()
      for try await request in requests { try await responses.write(request) }
    }
    try await withLoopback(service) { channel, _ in
      let large = Bytes([UInt8](repeating: 7, count: 3_000_000))
      #expect(try await channel.unary(EchoMethods.unary, large, options: Self.gzip) == large)
      let call: BidirectionalCall<Bytes, Bytes> = try await channel.bidirectional(
        EchoMethods.chat,
        options: Self.gzip
      )
      var responses = call.responses.makeAsyncIterator()
      for count in [0, 1, 100, 10_000, 2_000_000] {
        let message = Bytes([UInt8](repeating: UInt8(count % 251), count: count))
        try await call.requests.write(message)
        #expect(try await responses.next() == message)
      }
      call.requests.finish()
      #expect(try await responses.next() == nil)
    }
  }
}
