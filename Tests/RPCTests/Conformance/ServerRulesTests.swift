import Synchronization
import Testing

@testable import RPC

/// The rules of connectrpc's gRPC suite for a server, seen on the wire.
@Suite(.timeLimit(.minutes(5))) struct ServerRulesTests {
  private func ask(
    of service: EchoService = EchoService(),
    limits configuration: ServerConfiguration = ServerConfiguration(),
    method: String = "Unary",
    _ fields: [HeaderField] = [],
    _ body: [UInt8] = wireMessage("hello")
  ) async throws -> RawReply {
    var reply: RawReply?
    try await withServer(service, configuration) { _, port in
      let head = callHead("/test.Echo/\(method)") + fields
      reply = RawReply(try await RawPeer.exchange(port: port, head, body))
    }
    return try #require(reply)
  }

  // MARK: Errors

  @Test(arguments: StatusCode.allCases.dropFirst())
  func `an error before a response is Trailers-Only, with details`(code: StatusCode) async throws {
    var service = EchoService()
    service.unary = { _, context in
      var trailing = Metadata()
      trailing.add("1", for: "a")
      trailing.add("2", for: "a")
      context.setTrailingMetadata(trailing)
      throw RPCError(code, "why: 100% \u{1F600}", details: [8, UInt8(code.rawValue), 0xff])
    }
    let reply = try await ask(of: service)
    #expect(reply.isTrailersOnly)
    #expect(reply.httpStatus == "200")
    #expect(reply.status == String(code.rawValue))
    #expect(reply.end("grpc-message") == "why: 100%25 %F0%9F%98%80")
    #expect(Base64.decode((reply.end("grpc-status-details-bin") ?? "").utf8)?.last == 0xff)
    #expect(reply.end("grpc-status-details-bin")?.contains("=") == false)
    #expect(reply.head.filter { $0.name == "a" }.map(\.value) == ["1", "2"])
  }

  @Test func `an error after a response comes in the trailers`() async throws {
    var service = EchoService()
    service.expand = { _, _, responses in
      try await responses.write("one")
      throw RPCError(.dataLoss, "the rest", details: [1])
    }
    let reply = try await ask(of: service, method: "Expand")
    #expect(reply.messages.count == 1)
    #expect(!reply.isTrailersOnly)
    #expect(reply.head("grpc-status") == nil)
    #expect(reply.status == "15")
    #expect(reply.end("grpc-status-details-bin") == "AQ")
  }

  @Test func `an error that is no RPCError is UNKNOWN and tells nothing of itself`() async throws {
    struct Secret: Error {}
    var service = EchoService()
    service.unary = { _, _ in throw Secret() }
    let reply = try await ask(of: service)
    #expect(reply.status == "2")
    #expect(reply.end("grpc-message")?.contains("Secret") == false)
  }

  // MARK: Metadata

  @Test func `duplicate metadata keeps every value in order`() async throws {
    let seen = Mutex<Metadata?>(nil)
    var service = EchoService()
    service.unary = { request, context in
      seen.withLock { $0 = context.metadata }
      context.setInitialMetadata(context.metadata)
      context.setTrailingMetadata(context.metadata)
      return request
    }
    let reply = try await ask(
      of: service,
      [
        HeaderField("k", "1"), HeaderField("b-bin", "AQ=="), HeaderField("k", "2"),
        HeaderField("b-bin", "Ag,AwQ=, BQY"), HeaderField("k", "1"),
      ]
    )
    let metadata = try #require(seen.withLock { $0 })
    #expect(metadata.all("k") == ["1", "2", "1"])
    #expect(metadata.allBytes("b-bin") == [[1], [2], [3, 4], [5, 6]])
    for fields in [reply.head, reply.trailers ?? []] {
      #expect(fields.filter { $0.name == "k" }.map(\.value) == ["1", "2", "1"])
      let values = fields.filter { $0.name == "b-bin" }.map(\.value)
      #expect(values.joined(separator: ",") == "AQ,Ag,AwQ,BQY")
    }
  }

  @Test func `protocol fields are no metadata and cannot be forged by it`() async throws {
    var service = EchoService()
    service.unary = { _, context in
      Bytes(context.metadata.entries.map(\.name).sorted().joined(separator: " "))
    }
    let reply = try await ask(
      of: service,
      [
        HeaderField("grpc-timeout", "10S"), HeaderField("grpc-encoding", "identity"),
        HeaderField("grpc-accept-encoding", "gzip"), HeaderField("user-agent", "x/1"),
        HeaderField("k", "v"),
      ]
    )
    #expect(
      reply.messages.first.map { String(decoding: $0.bytes, as: UTF8.self) } == "k user-agent"
    )
  }

  // MARK: Deadlines

  @Test(arguments: ["1H", "60M", "3600S", "3600000m", "99999999u", "99999999n"])
  func `a timeout in any unit becomes the handler's deadline`(text: String) async throws {
    var service = EchoService()
    service.unary = { _, context in
      Bytes("\(context.deadline != nil && Deadline.current == context.deadline)")
    }
    let reply = try await ask(of: service, [HeaderField("grpc-timeout", text)])
    // A tenth of a second may pass before the handler runs.
    guard text != "99999999n" || reply.status == "0" else { return }
    #expect(reply.status == "0")
    #expect(reply.messages.first?.bytes == Array("true".utf8))
  }

  @Test func `a deadline that passes ends the handler and the call`() async throws {
    let cancelled = Signal()
    var service = EchoService()
    service.unary = { request, _ in
      await waitForCancellation(cancelled)
      return request
    }
    let reply = try await ask(of: service, [HeaderField("grpc-timeout", "50m")])
    #expect(reply.status == "4")
    await cancelled.wait()
  }

  @Test func `a call within a handler inherits what is left of its deadline`() async throws {
    let timeouts = Mutex<[String?]>([])
    try await RawServer.with { server, stream, _ in
      timeouts.withLock { $0.append(server.heads[stream]?.first("grpc-timeout")) }
      server.session.answer(stream, "ok")
    } _: { backend in
      var service = EchoService()
      service.unary = { request, _ in
        // Once with no timeout of its own, once with one that is later.
        _ = try await backend.unary(EchoMethods.unary, request) as Bytes
        let options = CallOptions(timeout: .seconds(3600))
        return try await backend.unary(EchoMethods.unary, request, options: options)
      }
      let timed = try await ask(of: service, [HeaderField("grpc-timeout", "20S")])
      let untimed = try await ask(of: service)
      #expect([timed.status, untimed.status] == ["0", "0"])
    }
    let left = timeouts.withLock { $0 }.map { $0.flatMap(TimeoutHeader.decode) }
    #expect(left.count == 4)
    for value in left.prefix(2) { #expect((1_000_000_000...20_000_000_000).contains(value ?? 0)) }
    #expect(left[2] == nil)
    #expect((3_000_000_000_000...3_600_000_000_000).contains(left[3] ?? 0))
  }

  // MARK: Requests

  @Test(arguments: ["Unary", "Expand"])
  func `other than one request is UNIMPLEMENTED`(method: String) async throws {
    #expect(try await ask(method: method, [], []).status == "12")
    let two = wireMessage("one") + wireMessage("two")
    #expect(try await ask(method: method, [], two).status == "12")
  }

  @Test(arguments: ["Collect", "Chat"])
  func `a stream of no requests is a call`(method: String) async throws {
    let reply = try await ask(method: method, [], [])
    #expect(reply.status == "0")
    #expect(reply.messages.count == (method == "Collect" ? 1 : 0))
  }

  @Test(arguments: ["Unary", "Collect", "Expand", "Chat"])
  func `requests up to the limit are taken and none above`(method: String) async throws {
    var configuration = ServerConfiguration()
    configuration.maxMessageBytes = 1000
    var service = EchoService()
    service.expand = { request, _, responses in try await responses.write(request) }
    let most = wireMessage([UInt8](repeating: 1, count: 1000))
    #expect(
      try await ask(of: service, limits: configuration, method: method, [], most).status == "0"
    )
    let more = wireMessage([UInt8](repeating: 1, count: 1001))
    #expect(
      try await ask(of: service, limits: configuration, method: method, [], more).status == "8"
    )
  }

  @Test(arguments: ["Unary", "Collect"])
  func `a request that is no message is INVALID_ARGUMENT`(method: String) async throws {
    #expect(try await ask(method: method, [], wireMessage([0xff])).status == "3")
  }

  @Test(arguments: [
    ("application/grpc", "200"), ("application/grpc+proto", "200"),
    ("application/grpc+proto;charset=utf-8", "200"), ("application/grpc+json", "415"),
    ("application/grpc+thrift", "415"), ("application/grpcx", "415"),
    ("application/grpc-web+proto", "415"), ("application/proto", "415"),
  ])
  func `a codec that is not known is 415`(type: String, status: String) async throws {
    try await withServer { _, port in
      let head = callHead("/test.Echo/Unary", [("content-type", type)])
      let reply = RawReply(try await RawPeer.exchange(port: port, head, wireMessage("x")))
      #expect(reply.httpStatus == status)
    }
  }

  // MARK: Responses

  @Test func `a response has head, messages and trailers apart`() async throws {
    let reply = try await ask(method: "Expand", [], wireMessage("abc"))
    #expect(reply.head("content-type") == "application/grpc")
    #expect(reply.head("grpc-status") == nil)
    #expect(reply.messages.map(\.bytes) == [Array("a".utf8), Array("b".utf8), Array("c".utf8)])
    #expect(reply.trailers?.first("grpc-status") == "0")
    #expect(reply.trailers?.first("grpc-message") == nil)
  }

  @Test func `a stream without responses ends with its status alone`() async throws {
    let reply = try await ask(method: "Expand", [], wireMessage(""))
    #expect(reply.isTrailersOnly)
    #expect(reply.status == "0")
    #expect(reply.head("content-type") == "application/grpc")
  }
}
