import RPC
import Testing

/// Our client against the server of Python's grpcio: `Tests/Interop/rpc/grpcio_server.py`.
@Suite(
  .timeLimit(.minutes(3)),
  .enabled(if: Peers.python != nil, "LLMOS_PEERS has no Python with grpcio")
)
struct GRPCIOServerTests {
  private func withPythonServer(
    _ arguments: [String] = [],
    serviceConfig: ServiceConfig = ServiceConfig(),
    _ body: (RPCChannel) async throws -> Void
  ) async throws {
    let python = try Subprocess(
      try #require(Peers.python),
      [Peers.script("grpcio_server.py")] + arguments
    )
    defer { python.terminate() }
    var lines = python.lines().makeAsyncIterator()
    let line = try #require(await lines.next())
    let port = try #require(Int(line.dropFirst("port ".count)))
    var configuration = ChannelConfiguration()
    configuration.serviceConfig = serviceConfig
    let channel = RPCChannel(
      host: "127.0.0.1",
      port: port,
      configuration: configuration,
      group: testGroup
    )
    do {
      try await body(channel)
    } catch {
      await channel.close()
      throw error
    }
    await channel.close()
  }

  private func ask(
    _ channel: RPCChannel,
    _ text: String,
    options: CallOptions = CallOptions()
  ) async throws -> String {
    let response: Bytes = try await channel.unary(
      EchoMethods.unary,
      Bytes(text),
      options: options
    )
    return response.text
  }

  private func failure(
    _ channel: RPCChannel,
    _ text: String,
    options: CallOptions = CallOptions()
  ) async throws -> RPCError {
    try await RPCTests.failure { try await ask(channel, text, options: options) }
  }

  @Test(arguments: [[], ["gzip"]])
  func `the four kinds of call`(arguments: [String]) async throws {
    try await withPythonServer(arguments) { channel in
      #expect(try await ask(channel, "hello") == "hello")
      #expect(try await ask(channel, "") == "")
      let expanded: ResponseStream<Bytes> = try await channel.serverStreaming(
        EchoMethods.expand,
        Bytes("abc")
      )
      #expect(try await expanded.reduce("") { $0 + $1.text } == "abc")
      let collected: Bytes = try await channel.clientStreaming(EchoMethods.collect) {
        (requests: RequestWriter<Bytes>) in
        for text in ["a", "", "bc"] { try await requests.write(Bytes(text)) }
      }
      #expect(collected == "abc")
      let call: BidirectionalCall<Bytes, Bytes> = try await channel.bidirectional(EchoMethods.chat)
      var responses = call.responses.makeAsyncIterator()
      for text in ["1", "22", "333"] {
        try await call.requests.write(Bytes(text))
        #expect(try await responses.next() == Bytes(text))
      }
      call.requests.finish()
      #expect(try await responses.next() == nil)
    }
  }

  @Test func `metadata and statuses`() async throws {
    try await withPythonServer { channel in
      var options = CallOptions()
      options.metadata.add("1", for: "key")
      options.metadata.add(Array(0...255), for: "blob-bin")
      options.metadata.add("2", for: "key")
      options.metadata.add([], for: "blob-bin")
      let response: UnaryResponse<Bytes> = try await channel.unaryResponse(
        EchoMethods.unary,
        Bytes("metadata"),
        options: options
      )
      for metadata in [response.initialMetadata, response.trailingMetadata] {
        #expect(metadata.all("key") == ["1", "2"])
        #expect(metadata.allBytes("blob-bin") == [Array(0...255), []])
      }
      for code in StatusCode.allCases.dropFirst() {
        let error = try await failure(channel, "status \(code.rawValue) größer 100% \u{1F600}\n")
        #expect(error.code == code)
        #expect(error.message == "größer 100% \u{1F600}\n")
      }
      let responses: ResponseStream<Bytes> = try await channel.serverStreaming(
        EchoMethods.expand,
        Bytes("fail")
      )
      var iterator = responses.makeAsyncIterator()
      #expect(try await iterator.next() == "f")
      let lost = try await RPCTests.failure { try await iterator.next() }
      #expect(lost.code == .dataLoss)
      let absent = MethodDescriptor(service: "test.Echo", method: "Absent", kind: .unary)
      let unknown = try await RPCTests.failure {
        try await channel.unary(absent, Bytes("")) as Bytes
      }
      #expect(unknown.code == .unimplemented)
    }
  }

  @Test func `deadlines and cancellation`() async throws {
    try await withPythonServer { channel in
      let left = try await ask(channel, "deadline", options: CallOptions(timeout: .seconds(50)))
      #expect((40...50).contains(try #require(Double(left))))
      #expect(try await ask(channel, "deadline") == "none")

      let late = try await failure(channel, "wait", options: CallOptions(timeout: .seconds(1)))
      #expect(late.code == .deadlineExceeded)
      #expect(try await ask(channel, "await cancellation 0") == "1")

      let responses: ResponseStream<Bytes> = try await channel.serverStreaming(
        EchoMethods.expand,
        Bytes("forever")
      )
      var iterator = responses.makeAsyncIterator()
      #expect(try await iterator.next() == "first")
      responses.cancel()
      let cancelled = try await RPCTests.failure { try await iterator.next() }
      #expect(cancelled.code == .cancelled)
      #expect(try await ask(channel, "await cancellation 1") == "2")
    }
  }

  @Test func `large messages, slow readers, limits`() async throws {
    try await withPythonServer { channel in
      let large = Bytes([UInt8](repeating: 65, count: 2 * 1024 * 1024))
      let echoed: Bytes = try await channel.unary(EchoMethods.unary, large)
      #expect(echoed == large)
      let tooLarge = try await RPCTests.failure {
        try await channel.unary(
          EchoMethods.unary,
          Bytes([UInt8](repeating: 65, count: 4 * 1024 * 1024 + 1))
        ) as Bytes
      }
      #expect(tooLarge.code == .resourceExhausted)

      let responses: ResponseStream<Bytes> = try await channel.serverStreaming(
        EchoMethods.expand,
        Bytes("many")
      )
      var iterator = responses.makeAsyncIterator()
      _ = try await iterator.next()
      for _ in 0..<20 { _ = try await ask(channel, "written") }
      let written = try #require(Int(try await ask(channel, "written")))
      #expect(written < 500)
      var count = 1
      while try await iterator.next() != nil { count += 1 }
      #expect(count == 1000)

      let ready = CallOptions(readyTimeout: .seconds(20))
      var options = CallOptions()
      options.metadata.add(String(repeating: "x", count: 60_000), for: "large")
      #expect(try await failure(channel, "x", options: options).code == .resourceExhausted)
      #expect(try await failure(channel, "large metadata").code == .resourceExhausted)
      #expect(try await failure(channel, "large field").code == .resourceExhausted)
      #expect(try await ask(channel, "still here", options: ready) == "still here")
    }
  }

  @Test func `retries, as the server's push-back says`() async throws {
    let policy = MethodConfig.RetryPolicy(
      maxAttempts: 4,
      initialBackoff: .milliseconds(10),
      maxBackoff: .milliseconds(50),
      retryableStatusCodes: [.unavailable]
    )
    let config = ServiceConfig(
      methodConfig: [MethodConfig(name: [.init(service: "test.Echo")], repetition: .retry(policy))]
    )
    try await withPythonServer(serviceConfig: config) { channel in
      let third = try await ask(channel, "flaky 3")
      #expect(third == "3")
      #expect(try await failure(channel, "flaky 4").message == "attempt 3")
      #expect(try await ask(channel, "flaky 2 1") == "2")
      #expect(try await failure(channel, "flaky 2 -1").message == "attempt 0")
    }
  }

  @Test func `hedging: the first attempt that answers is the call's, the others are cancelled`()
    async throws
  {
    let policy = MethodConfig.HedgingPolicy(maxAttempts: 3, hedgingDelay: .milliseconds(10))
    let config = ServiceConfig(
      methodConfig: [
        MethodConfig(name: [.init(service: "test.Echo")], repetition: .hedge(policy))
      ]
    )
    try await withPythonServer(serviceConfig: config) { channel in
      let third = try await ask(channel, "hesitant 2")
      #expect(third == "2")
      #expect(try await ask(channel, "await cancellation 1") == "2")
    }
  }

  @Test func `many calls at once`() async throws {
    try await withPythonServer { channel in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for index in 0..<300 {
          group.addTask {
            let answer = try await ask(channel, "call \(index)")
            #expect(answer == "call \(index)")
          }
        }
        try await group.waitForAll()
      }
    }
  }

  @Test func `a server that drains finishes what runs`() async throws {
    try await withPythonServer { channel in
      let responses: ResponseStream<Bytes> = try await channel.serverStreaming(
        EchoMethods.expand,
        Bytes("until drained")
      )
      var iterator = responses.makeAsyncIterator()
      #expect(try await iterator.next() == "started")
      #expect(try await ask(channel, "drain") == "drain")
      #expect(try await iterator.next() == "finished")
      #expect(try await iterator.next() == nil)
      var code: StatusCode?
      while code == nil {
        do {
          _ = try await ask(channel, "late")
        } catch let error as RPCError {
          code = error.code
        }
      }
      #expect(code == .unavailable)
    }
  }
}
