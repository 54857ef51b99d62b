import Testing

@testable import RPC

/// How our client takes servers that misbehave, refuse or go away.
@Suite(.timeLimit(.minutes(5))) struct HostileServerTests {
  private func call(_ channel: RPCChannel) async throws -> String {
    let response: Bytes = try await channel.unary(
      EchoMethods.unary,
      Bytes("x"),
      options: CallOptions(readyTimeout: .seconds(60))
    )
    return response.text
  }

  private func error(_ answer: @escaping RawServer.Answer) async throws -> RPCError {
    var caught: RPCError?
    try await RawServer.with(answer) { channel in
      caught = try await failure { try await call(channel) }
    }
    return try #require(caught)
  }

  @Test func `a stream refused once is sent again`() async throws {
    try await RawServer.with { server, stream, before in
      if before == 0 {
        server.session.reset(stream, .refusedStream)
      } else {
        server.session.answer(stream, "\(before)")
      }
    } _: { channel in
      let answer = try await call(channel)
      #expect(answer == "1")
    }
  }

  @Test func `a stream refused twice is UNAVAILABLE`() async throws {
    let error = try await error { server, stream, _ in server.session.reset(stream, .refusedStream)
    }
    #expect(error.code == .unavailable)
  }

  @Test func `a stream refused after its head is not sent again`() async throws {
    let requests = Counter()
    let error = try await error { server, stream, _ in
      requests.increment()
      server.session.submitResponse(stream, responseHead, endStream: false)
      // A head that waits would be dropped by the reset.
      server.flush()
      server.session.reset(stream, .refusedStream)
    }
    #expect(error.code == .unavailable)
    #expect(requests.value == 1)
  }

  @Test func `a goaway before each answer moves the next call to a new connection`() async throws {
    try await RawServer.with { server, stream, before in
      server.session.submitGoAway()
      server.session.answer(stream, "\(before)")
    } _: { channel in
      for index in 0..<3 {
        let answer = try await call(channel)
        #expect(answer == "\(index)")
      }
    }
  }

  @Test(arguments: [
    (HTTP2ErrorCode.cancel, StatusCode.cancelled), (.enhanceYourCalm, .resourceExhausted),
    (.inadequateSecurity, .permissionDenied), (.internalError, .internal),
    (.protocolError, .internal), (.noError, .internal),
  ])
  func `a reset stands for a status`(code: HTTP2ErrorCode, status: StatusCode) async throws {
    let error = try await error { server, stream, _ in server.session.reset(stream, code) }
    #expect(error.code == status)
  }

  @Test(arguments: [
    ("503", StatusCode.unavailable), ("404", .unimplemented), ("401", .unauthenticated),
    ("500", .unknown), ("200", .unknown),
  ])
  func `an answer in plain HTTP stands for a status`(
    http: String,
    status: StatusCode
  )
    async throws
  {
    let error = try await error { server, stream, _ in
      server.session.submitResponse(
        stream,
        [HeaderField(":status", http), HeaderField("content-type", "text/html")],
        endStream: false
      )
      server.session.send(stream, Array("<html>".utf8))
      server.session.finish(stream, trailers: [])
    }
    #expect(error.code == status)
    #expect(error.message.contains(http == "200" ? "text/html" : http))
  }

  @Test func `an end without a status is UNKNOWN`() async throws {
    for trailers in [[], [HeaderField("x", "y")]] {
      let error = try await error { server, stream, _ in
        server.session.submitResponse(stream, responseHead, endStream: false)
        server.session.send(stream, [0, 0, 0, 0, 0])
        server.session.finish(stream, trailers: trailers)
      }
      #expect(error.code == .unknown)
    }
  }

  @Test(arguments: [
    ([UInt8](), StatusCode.unimplemented), ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0], .unimplemented),
    ([1, 0, 0, 0, 0], .internal), ([0, 0, 0], .internal), ([0, 0, 0, 0, 9, 1], .internal),
    ([0, 0xff, 0, 0, 0], .resourceExhausted), ([0, 0, 0, 0, 1, 0xff], .internal),
  ])
  func `a response is exactly one plain message`(body: [UInt8], status: StatusCode) async throws {
    let error = try await error { server, stream, _ in
      server.session.submitResponse(stream, responseHead, endStream: false)
      server.session.send(stream, body)
      server.session.finish(stream, trailers: [HeaderField("grpc-status", "0")])
    }
    #expect(error.code == status)
  }

  @Test func `metadata above the limit is RESOURCE_EXHAUSTED`() async throws {
    let error = try await error { server, stream, _ in
      let large = (0..<7).map { HeaderField("l\($0)", String(repeating: "x", count: 10_000)) }
      server.session.submitResponse(stream, responseHead + large, endStream: false)
    }
    #expect(error.code == .resourceExhausted)
  }

  @Test func `a status that is no number is UNKNOWN, its text stays`() async throws {
    let error = try await error { server, stream, _ in
      server.session.submitResponse(
        stream,
        responseHead + [HeaderField("grpc-status", "ok"), HeaderField("grpc-message", "why%21")],
        endStream: true
      )
    }
    #expect(error.code == .unknown)
    #expect(error.message.contains("why!"))
  }

  @Test func `a server that allows one stream gets one call after another`() async throws {
    var limits = HTTP2SessionLimits()
    limits.maxConcurrentStreams = 1
    try await RawServer.with({ $0.session.answer($1, "\($2)") }, limits: limits) { channel in
      try await withThrowingTaskGroup(of: String.self) { group in
        for _ in 0..<50 { group.addTask { try await call(channel) } }
        var answers: Set<String> = []
        for try await answer in group { answers.insert(answer) }
        #expect(answers.count == 50)
      }
    }
  }

  @Test func `calls above the queue's bound are RESOURCE_EXHAUSTED`() async throws {
    var configuration = ChannelConfiguration()
    configuration.maxQueuedCalls = 10
    let channel = RPCChannel(
      host: "127.0.0.1",
      port: 1,
      configuration: configuration,
      group: testGroup
    )
    let codes = try await withThrowingTaskGroup(of: StatusCode.self) { group in
      for _ in 0..<30 {
        group.addTask {
          try await failure {
            try await channel.unary(
              EchoMethods.unary,
              Bytes("x"),
              options: CallOptions(readyTimeout: .seconds(1))
            )
              as Bytes
          }.code
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(codes.filter { $0 == .resourceExhausted }.count == 20)
    #expect(codes.filter { $0 == .unavailable }.count == 10)
    await channel.close()
  }
}
