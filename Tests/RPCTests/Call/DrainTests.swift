import NIOCore
import NIOPosix
import RPC
import Testing

/// The end of servers and connections, and how channels heal.
@Suite(.timeLimit(.minutes(5))) struct DrainTests {
  @Test func `calls in flight finish during the grace, new ones are refused`() async throws {
    let (started, gate) = (Signal(), Signal())
    var service = EchoService()
    service.unary = { request, _ in
      started.set()
      await gate.wait()
      return request
    }
    try await withLoopback(service) { channel, server in
      let running = Task { try await channel.unary(EchoMethods.unary, Bytes("in flight")) as Bytes }
      await started.wait()
      let shutdown = Task { await server.shutdown(grace: .seconds(30)) }
      let refused = try await refusal(channel)
      #expect(refused.code == .unavailable)
      gate.set()
      #expect(try await running.value == "in flight")
      await shutdown.value
    }
  }

  /// Calls until the server takes no more calls.
  ///
  /// A call that it still takes waits for its deadline.
  private func refusal(_ channel: RPCChannel) async throws -> RPCError {
    while true {
      let error = try await failure {
        try await channel.unary(
          EchoMethods.unary,
          Bytes("late"),
          options: CallOptions(timeout: .milliseconds(100))
        )
          as Bytes
      }
      if error.code != .deadlineExceeded { return error }
    }
  }

  @Test func `after the grace the rest is cancelled`() async throws {
    let (started, cancelled) = (Signal(), Signal())
    var service = EchoService()
    service.unary = { request, _ in
      started.set()
      await waitForCancellation(cancelled)
      throw CancellationError()
    }
    try await withLoopback(service) { channel, server in
      let running = Task {
        try await failure { try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes }
      }
      await started.wait()
      await server.shutdown(grace: .milliseconds(50))
      let error = try await running.value
      // Not CANCELLED, which says that the client gave up: another server may take the call.
      #expect(error.code == .unavailable)
      #expect(cancelled.isSet)
    }
  }

  @Test func `a call whose responses wait for their reader is UNAVAILABLE at the end, too`()
    async throws
  {
    var service = EchoService()
    let message = Bytes([UInt8](repeating: 7, count: 10_000))
    service.expand = { _, _, responses in
      while true { try await responses.write(message) }
    }
    try await withLoopback(service) { channel, server in
      let responses: ResponseStream<Bytes> = try await channel.serverStreaming(
        EchoMethods.expand,
        Bytes("")
      )
      var iterator = responses.makeAsyncIterator()
      _ = try await iterator.next()
      await server.shutdown(grace: .zero)
      let error = try await failure { while try await iterator.next() != nil {} }
      #expect(error.code == .unavailable)
    }
  }

  @Test func `a server without calls ends at once`() async throws {
    try await withLoopback { channel, server in
      _ = try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes
      let clock = ContinuousClock()
      let time = await clock.measure { await server.shutdown(grace: .seconds(30)) }
      #expect(time < .seconds(10))
    }
  }

  @Test func `a server starts once`() async throws {
    try await withServer { server, _ in
      let error = try await failure { try await server.start() }
      #expect(error.code == .failedPrecondition || error.code == .unavailable)
    }
  }

  @Test func `a port in use is a clear error`() async throws {
    try await withServer { _, port in
      let second = RPCServer(
        router: Router(),
        configuration: ServerConfiguration(port: port),
        group: testGroup
      )
      let error = try await failure { try await second.start() }
      #expect(error.code == .unavailable)
      #expect(error.message.contains("127.0.0.1:\(port)"))
    }
  }

  @Test func `a call without a server is UNAVAILABLE and names the address`() async throws {
    let port = try await unusedPort()
    let channel = RPCChannel(host: "127.0.0.1", port: port, group: testGroup)
    let error = try await failure {
      try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes
    }
    #expect(error.code == .unavailable)
    #expect(error.message.contains("127.0.0.1:\(port)"))
    await channel.close()
  }

  @Test func `a call that may wait gives up after its time`() async throws {
    let channel = RPCChannel(
      host: "127.0.0.1",
      port: try await unusedPort(),
      group: testGroup
    )
    let clock = ContinuousClock()
    let start = clock.now
    let error = try await failure {
      try await channel.unary(
        EchoMethods.unary,
        Bytes("x"),
        options: CallOptions(readyTimeout: .milliseconds(300))
      )
        as Bytes
    }
    #expect(error.code == .unavailable)
    #expect(clock.now - start >= .milliseconds(300))
    await channel.close()
  }

  @Test func `a channel waits for a server that comes later, and finds its successor`() async throws
  {
    let port = try await unusedPort()
    var configuration = ChannelConfiguration()
    configuration.backoffMax = .milliseconds(200)
    let channel = RPCChannel(
      host: "127.0.0.1",
      port: port,
      configuration: configuration,
      group: testGroup
    )
    let options = CallOptions(readyTimeout: .seconds(20))
    let early = Task {
      try await channel.unary(EchoMethods.unary, Bytes("early"), options: options) as Bytes
    }
    for index in 0..<3 {
      try await withServer(EchoService(), ServerConfiguration(port: port)) { _, _ in
        let response: Bytes = try await channel.unary(
          EchoMethods.unary,
          Bytes("server \(index)"),
          options: options
        )
        #expect(response.text == "server \(index)")
        if index == 0 { #expect(try await early.value == "early") }
      }
    }
    await channel.close()
  }

  @Test func `a closed channel refuses calls`() async throws {
    try await withServer { _, port in
      let channel = RPCChannel(host: "127.0.0.1", port: port, group: testGroup)
      await channel.close()
      let error = try await failure {
        try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes
      }
      #expect(error.code == .cancelled)
      await channel.close()
    }
  }

  @Test func `a server that never speaks is given up`() async throws {
    let silent = try await ServerBootstrap(group: testGroup)
      .bind(host: "127.0.0.1", port: 0).get()
    var configuration = ChannelConfiguration()
    configuration.connectTimeout = .seconds(1)
    let port = try #require(silent.localAddress?.port)
    let channel = RPCChannel(
      host: "127.0.0.1",
      port: port,
      configuration: configuration,
      group: testGroup
    )
    let error = try await failure {
      try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes
    }
    #expect(error.code == .unavailable)
    #expect(error.message.contains("127.0.0.1:\(port)"))
    await channel.close()
    try await silent.close()
  }

  private func unusedPort() async throws -> Int {
    let channel = try await ServerBootstrap(group: testGroup)
      .bind(host: "127.0.0.1", port: 0).get()
    let port = try #require(channel.localAddress?.port)
    try await channel.close()
    return port
  }
}
