import Synchronization
import Testing

@testable import RPC

/// The rules of connectrpc's gRPC suite for a client, against a server that answers byte by byte.
@Suite(.timeLimit(.minutes(5))) struct ClientRulesTests {
  /// What a server answers.
  private struct Answer: Sendable {
    var head: [HeaderField] = responseHead
    var body: [UInt8] = []
    /// None: the head is all.
    var trailers: [HeaderField]? = [HeaderField("grpc-status", "0")]
  }

  private func unary(
    _ answer: Answer,
    options: CallOptions = CallOptions()
  ) async throws -> Result<UnaryResponse<Bytes>, RPCError> {
    var result: Result<UnaryResponse<Bytes>, RPCError>?
    try await RawServer.with { server, stream, _ in
      server.session.submitResponse(stream, answer.head, endStream: answer.trailers == nil)
      if let trailers = answer.trailers {
        if !answer.body.isEmpty { server.session.send(stream, answer.body) }
        server.session.finish(stream, trailers: trailers)
      }
    } _: { channel in
      do throws(RPCError) {
        let request = Bytes("x")
        result = .success(
          try await channel.unaryResponse(EchoMethods.unary, request, options: options)
        )
      } catch {
        result = .failure(error)
      }
    }
    return try #require(result)
  }

  private func error(_ answer: Answer) async throws -> RPCError? {
    guard case .failure(let error) = try await unary(answer) else { return nil }
    return error
  }

  // MARK: Statuses

  @Test(arguments: StatusCode.allCases.dropFirst(), [true, false])
  func `every status arrives with message, details and metadata`(
    code: StatusCode,
    trailersOnly: Bool
  ) async throws {
    let status = [
      HeaderField("grpc-status", "\(code.rawValue)"),
      HeaderField("grpc-message", "%F0%9F%98%80 why"),
      HeaderField("grpc-status-details-bin", "CAUA/w=="), HeaderField("k", "1"),
      HeaderField("k", "2"),
    ]
    let answer =
      trailersOnly
      ? Answer(head: responseHead + status, trailers: nil) : Answer(trailers: status)
    let error = try #require(try await error(answer))
    #expect(error.code == code)
    #expect(error.message == "\u{1F600} why")
    #expect(error.details == [8, 5, 0, 255])
    #expect(error.metadata.all("k") == ["1", "2"])
  }

  @Test(arguments: [
    (400, StatusCode.internal), (401, .unauthenticated), (403, .permissionDenied),
    (404, .unimplemented), (405, .unknown), (408, .unknown), (409, .unknown), (412, .unknown),
    (413, .unknown), (415, .unknown), (418, .unknown), (429, .unavailable), (431, .internal),
    (500, .unknown), (501, .unknown), (502, .unavailable), (503, .unavailable),
    (504, .unavailable), (505, .unknown), (204, .unknown), (302, .unknown),
  ])
  func `an HTTP status stands for a code`(status: Int, code: StatusCode) async throws {
    let plain = [HeaderField(":status", "\(status)"), HeaderField("content-type", "text/html")]
    #expect(try await error(Answer(head: plain, trailers: nil))?.code == code)
    let withBody = Answer(head: plain, body: Array("<html>".utf8), trailers: [])
    if status != 204 { #expect(try await error(withBody)?.code == code) }
    // Whatever the content type says.
    let grpc = [
      HeaderField(":status", "\(status)"), HeaderField("content-type", "application/grpc"),
    ]
    #expect(try await error(Answer(head: grpc, trailers: nil))?.code == code)
  }

  @Test func `a grpc-status counts more than an HTTP status`() async throws {
    let head = [
      HeaderField(":status", "503"), HeaderField("content-type", "application/grpc"),
      HeaderField("grpc-status", "7"),
    ]
    #expect(try await error(Answer(head: head, trailers: nil))?.code == .permissionDenied)
  }

  @Test(arguments: [
    ("application/grpc+proto", StatusCode?.none), ("application/grpc;charset=utf-8", nil),
    ("application/grpc+json", .internal), ("application/grpc+thrift", .internal),
    ("application/grpc-web", .unknown), ("application/grpcx", .unknown), ("text/html", .unknown),
    ("application/json", .unknown), ("", .unknown),
  ])
  func `a content type that is not ours is an error`(
    type: String,
    code: StatusCode?
  ) async throws {
    let head = [HeaderField(":status", "200"), HeaderField("content-type", type)]
    let error = try await error(Answer(head: head, body: wireMessage("x")))
    #expect(error?.code == code)
  }

  @Test func `the status of the trailers counts, not one of the head`() async throws {
    let answer = Answer(
      head: responseHead + [HeaderField("grpc-status", "0")],
      body: wireMessage("x"),
      trailers: [HeaderField("grpc-status", "9")]
    )
    #expect(try await error(answer)?.code == .failedPrecondition)
  }

  // MARK: Missing and unexpected parts

  @Test func `a response without trailers is UNKNOWN`() async throws {
    #expect(try await error(Answer(body: wireMessage("x"), trailers: []))?.code == .unknown)
    #expect(try await error(Answer(trailers: nil))?.code == .unknown)
    let answer = Answer(body: wireMessage("x"), trailers: [HeaderField("a", "b")])
    #expect(try await error(answer)?.code == .unknown)
  }

  @Test func `other than one response to a unary call is UNIMPLEMENTED`() async throws {
    let two = wireMessage("x") + wireMessage("y")
    #expect(try await error(Answer(body: two))?.code == .unimplemented)
    #expect(try await error(Answer())?.code == .unimplemented)
    let ok = responseHead + [HeaderField("grpc-status", "0")]
    #expect(try await error(Answer(head: ok, trailers: nil))?.code == .unimplemented)
  }

  @Test func `an error after the response of a unary call is the outcome`() async throws {
    let answer = Answer(body: wireMessage("x"), trailers: [HeaderField("grpc-status", "5")])
    #expect(try await error(answer)?.code == .notFound)
  }

  @Test func `a message that is cut or malformed is INTERNAL`() async throws {
    #expect(try await error(Answer(body: wireMessage("hello").dropLast()))?.code == .internal)
    #expect(try await error(Answer(body: [0, 0]))?.code == .internal)
    #expect(try await error(Answer(body: wireMessage([0xff])))?.code == .internal)
    #expect(try await error(Answer(body: wireMessage([1], flag: 7)))?.code == .internal)
  }

  @Test func `responses up to the limit are taken and none above`() async throws {
    let most = wireMessage([UInt8](repeating: 1, count: 4 * 1024 * 1024))
    #expect(try await unary(Answer(body: most)).get().message.bytes.count == 4 * 1024 * 1024)
    let more = wireMessage([UInt8](repeating: 1, count: 4 * 1024 * 1024 + 1))
    #expect(try await error(Answer(body: more))?.code == .resourceExhausted)
  }

  // MARK: Metadata

  @Test func `duplicate metadata keeps every value in order`() async throws {
    let fields = [
      HeaderField("k", "1"), HeaderField("b-bin", "AQ=="), HeaderField("k", "2"),
      HeaderField("b-bin", "Ag,AwQ="), HeaderField("k", "1"),
    ]
    let response = try await unary(
      Answer(
        head: responseHead + fields,
        body: wireMessage("x"),
        trailers: [HeaderField("grpc-status", "0")] + fields
      )
    ).get()
    for metadata in [response.initialMetadata, response.trailingMetadata] {
      #expect(metadata.all("k") == ["1", "2", "1"])
      #expect(metadata.allBytes("b-bin") == [[1], [2], [3, 4]])
    }
  }

  @Test func `a request's head is as the protocol says`() async throws {
    let seen = Mutex<[HeaderField]>([])
    var options = CallOptions(timeout: .seconds(100))
    options.metadata.add("1", for: "k")
    options.metadata.add([1, 2], for: "b-bin")
    options.metadata.add("2", for: "k")
    let sent = options
    try await RawServer.with { server, stream, _ in
      seen.withLock { $0 = server.heads[stream] ?? [] }
      server.session.answer(stream, "ok")
    } _: { channel in
      _ = try await channel.unary(EchoMethods.unary, Bytes("x"), options: sent) as Bytes
    }
    let fields = seen.withLock { $0 }
    #expect(fields.prefix(4).map(\.name).sorted() == [":authority", ":method", ":path", ":scheme"])
    #expect(fields.first(":path") == "/test.Echo/Unary")
    #expect(fields.first("te") == "trailers")
    #expect(fields.first("content-type") == "application/grpc")
    #expect(fields.first("user-agent")?.hasPrefix("grpc-swift") == true)
    let timeout = TimeoutHeader.decode(fields.first("grpc-timeout") ?? "") ?? 0
    #expect((50_000_000_000...100_000_000_000).contains(timeout))
    #expect(fields.filter { $0.name == "k" }.map(\.value) == ["1", "2"])
    #expect(fields.first("b-bin") == "AQI")
  }

  // MARK: Deadlines and cancellation

  @Test func `a deadline ends a call that the server does not answer`() async throws {
    try await RawServer.with({ _, _, _ in }) { channel in
      let error = try await failure {
        try await channel.unary(
          EchoMethods.unary,
          Bytes("x"),
          options: CallOptions(timeout: .milliseconds(100))
        ) as Bytes
      }
      #expect(error.code == .deadlineExceeded)
    }
  }

  @Test func `a deadline that has passed sends nothing`() async throws {
    let requests = Counter()
    try await RawServer.with { server, stream, _ in
      requests.increment()
      server.session.answer(stream, "ok")
    } _: { channel in
      let error = try await failure {
        try await channel.unary(
          EchoMethods.unary,
          Bytes("x"),
          options: CallOptions(timeout: .zero)
        ) as Bytes
      }
      #expect(error.code == .deadlineExceeded)
      _ = try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes
    }
    #expect(requests.value == 1)
  }

  @Test func `a server's CANCEL is CANCELLED`() async throws {
    try await RawServer.with { server, stream, _ in
      server.session.reset(stream, .cancel)
    } _: { channel in
      let error = try await failure {
        try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes
      }
      #expect(error.code == .cancelled)
    }
  }
}
