import NIOCore
import Synchronization
import Testing

@testable import RPC

/// Retries and hedges on real connections, against servers that refuse.
@Suite(.timeLimit(.minutes(5))) struct RetryTests {
  private static func configuration(
    _ repetition: MethodConfig.Repetition?,
    throttling: RetryThrottling? = nil,
    timeout: Duration? = nil
  ) -> ChannelConfiguration {
    var configuration = ChannelConfiguration()
    configuration.serviceConfig = ServiceConfig(
      methodConfig: [
        MethodConfig(
          name: [.init(service: EchoMethods.service)],
          waitForReady: true,
          timeout: timeout,
          repetition: repetition
        )
      ],
      retryThrottling: throttling
    )
    return configuration
  }

  private static func retry(
    _ attempts: Int = 3,
    backoff: Duration = .milliseconds(1),
    receiveTimeout: Duration? = nil
  ) -> MethodConfig.Repetition {
    .retry(
      MethodConfig.RetryPolicy(
        maxAttempts: attempts,
        initialBackoff: backoff,
        maxBackoff: backoff,
        retryableStatusCodes: [.unavailable],
        perAttemptReceiveTimeout: receiveTimeout
      )
    )
  }

  private func call(_ channel: RPCChannel, _ text: String = "x") async throws -> String {
    let response: Bytes = try await channel.unary(EchoMethods.unary, Bytes(text))
    return response.text
  }

  // MARK: Retries

  @Test func `a call is made again until an attempt succeeds, and says how often`() async throws {
    let previous = Mutex<[String?]>([])
    try await RawServer.with(
      { server, stream, before in
        previous.withLock {
          $0.append(server.heads[stream]?.first("grpc-previous-rpc-attempts"))
        }
        if before < 2 {
          server.session.refuse(stream, .unavailable)
        } else {
          server.session.answer(stream, "\(before)")
        }
      },
      channel: Self.configuration(Self.retry())
    ) { channel in
      let answer = try await call(channel)
      #expect(answer == "2")
      #expect(previous.withLock { $0 } == [nil, "1", "2"])
    }
  }

  @Test func `the last attempt's status is the call's`() async throws {
    let requests = Counter()
    try await RawServer.with(
      { server, stream, before in
        requests.increment()
        server.session.refuse(stream, .unavailable, [HeaderField("grpc-message", "no \(before)")])
      },
      channel: Self.configuration(Self.retry())
    ) { channel in
      let error = try await failure { try await call(channel) }
      #expect(error.code == .unavailable)
      #expect(error.message == "no 2")
      #expect(requests.value == 3)
    }
  }

  @Test func `a connection that is lost before a response is as a status UNAVAILABLE`() async throws
  {
    try await RawServer.with(
      { server, stream, before in
        if before == 0 { server.close() } else { server.session.answer(stream, "\(before)") }
      },
      channel: Self.configuration(Self.retry())
    ) { channel in
      let answer = try await call(channel)
      #expect(answer == "1")
    }
  }

  @Test func `a call whose response has begun is not made again`() async throws {
    let requests = Counter()
    try await RawServer.with(
      { server, stream, _ in
        requests.increment()
        server.session.submitResponse(stream, responseHead, endStream: false)
        server.session.finish(stream, trailers: [HeaderField("grpc-status", "14")])
      },
      channel: Self.configuration(Self.retry())
    ) { channel in
      let error = try await failure { try await call(channel) }
      #expect(error.code == .unavailable)
      #expect(requests.value == 1)
    }
  }

  @Test func `a server's push-back stops retries`() async throws {
    let requests = Counter()
    try await RawServer.with(
      { server, stream, _ in
        requests.increment()
        server.session.refuse(stream, .unavailable, [HeaderField("grpc-retry-pushback-ms", "-1")])
      },
      channel: Self.configuration(Self.retry())
    ) { channel in
      let error = try await failure { try await call(channel) }
      #expect(error.code == .unavailable)
      #expect(requests.value == 1)
    }
  }

  @Test func `a server's push-back replaces the back-off`() async throws {
    try await RawServer.with(
      { server, stream, before in
        guard before == 0 else { return server.session.answer(stream, "\(before)") }
        server.session.refuse(stream, .unavailable, [HeaderField("grpc-retry-pushback-ms", "1")])
      },
      channel: Self.configuration(Self.retry(backoff: .seconds(3600)))
    ) { channel in
      let answer = try await call(channel)
      #expect(answer == "1")
    }
  }

  @Test func `a channel whose calls fail stops to make them again`() async throws {
    let requests = Counter()
    try await RawServer.with(
      { server, stream, _ in
        requests.increment()
        server.session.refuse(stream, .unavailable)
      },
      channel: Self.configuration(
        Self.retry(5),
        throttling: RetryThrottling(maxTokens: 4, tokenRatio: 0.1)
      )
    ) { channel in
      for _ in 0..<3 { _ = try await failure { try await call(channel) } }
      // Two attempts of the first call use half of the tokens up.
      #expect(requests.value == 4)
    }
  }

  @Test func `the deadline ends a call that waits for its next attempt`() async throws {
    try await RawServer.with(
      { server, stream, _ in server.session.refuse(stream, .unavailable) },
      channel: Self.configuration(
        Self.retry(backoff: .seconds(3600)),
        timeout: .milliseconds(200)
      )
    ) { channel in
      let error = try await failure { try await call(channel) }
      #expect(error.code == .deadlineExceeded)
    }
  }

  @Test func `cancelling ends a call that waits for its next attempt`() async throws {
    let refused = Signal()
    try await RawServer.with(
      { server, stream, _ in
        server.session.refuse(stream, .unavailable)
        refused.set()
      },
      channel: Self.configuration(Self.retry(backoff: .seconds(3600)))
    ) { channel in
      let running = Task { try await failure { try await call(channel) } }
      await refused.wait()
      running.cancel()
      let error = try await running.value
      #expect(error.code == .cancelled)
    }
  }

  @Test func `an attempt without a response in its time gives way to the next`() async throws {
    try await RawServer.with(
      { server, stream, before in
        if before > 0 { server.session.answer(stream, "late") }
      },
      // Long enough for an attempt that is answered on a busy machine.
      channel: Self.configuration(Self.retry(5, receiveTimeout: .seconds(2)))
    ) { channel in
      let answer = try await call(channel)
      #expect(answer == "late")
    }
  }

  @Test func `a streaming call sends its messages again, in order`() async throws {
    var service = EchoService()
    let attempts = Counter()
    service.collect = { requests, _ in
      var all: [UInt8] = []
      for try await request in requests {
        all += request.bytes
        if all.count == 3, attempts.value == 0 {
          attempts.increment()
          throw RPCError(.unavailable, "not yet")
        }
      }
      return Bytes(all)
    }
    try await withLoopback(service, channel: Self.configuration(Self.retry())) { channel, _ in
      let response: Bytes = try await channel.clientStreaming(EchoMethods.collect) {
        (requests: RequestWriter<Bytes>) in
        for byte in UInt8(0)..<10 {
          try await requests.write(Bytes([byte]))
          if byte == 5 { _ = await attempts.wait(above: 0) }
        }
      }
      #expect(response.bytes == Array(0..<10))
    }
  }

  @Test func `a call that sent more than is kept is made once`() async throws {
    var configuration = Self.configuration(Self.retry())
    configuration.retryBufferBytes = 1000
    let attempts = Counter()
    var service = EchoService()
    service.collect = { requests, _ in
      var count = 0
      for try await request in requests { count += request.bytes.count }
      attempts.increment()
      throw RPCError(.unavailable, "\(count)")
    }
    try await withLoopback(service, channel: configuration) { channel, _ in
      let error = try await failure {
        try await channel.clientStreaming(EchoMethods.collect) {
          (requests: RequestWriter<Bytes>) in
          for _ in 0..<4 { try await requests.write(Bytes([UInt8](repeating: 7, count: 500))) }
        } as Bytes
      }
      #expect(error.message == "2000")
      #expect(attempts.value == 1)
    }
  }

  // MARK: The wait for a connection

  @Test func `each retry may wait for a connection anew`() async throws {
    let connections = Counter()
    var configuration = Self.configuration(Self.retry(backoff: .milliseconds(3300)))
    // The second connection is there after the first attempt's wait and within the second's.
    configuration.random = RandomSource { 1 << 63 }
    configuration.connector = Connector { attempt in
      guard connections.increment() > 1 else { return Connector.tcp.connect(attempt) }
      return attempt.eventLoop.scheduleTask(in: .milliseconds(3400)) {}.futureResult
        .flatMap { Connector.tcp.connect(attempt) }
    }
    try await RawServer.with(
      { server, stream, before in
        if before == 0 { server.close() } else { server.session.answer(stream, "\(before)") }
      },
      channel: configuration
    ) { channel in
      let answer: Bytes = try await channel.unary(
        EchoMethods.unary,
        Bytes("x"),
        options: CallOptions(readyTimeout: .seconds(3))
      )
      #expect(answer == "1")
    }
  }

  @Test func `a call that waits for a free stream says so`() async throws {
    var limits = HTTP2SessionLimits()
    limits.maxConcurrentStreams = 1
    let arrived = Signal()
    try await RawServer.with({ _, _, _ in arrived.set() }, limits: limits) { channel in
      let running = Task { try await failure { try await call(channel) } }
      await arrived.wait()
      let options = CallOptions(readyTimeout: .milliseconds(20))
      let error = try await failure {
        try await channel.unary(EchoMethods.unary, Bytes("x"), options: options) as Bytes
      }
      #expect(error.code == .unavailable)
      #expect(error.message.contains("no free stream"))
      running.cancel()
      _ = try await running.value
    }
  }

  // MARK: Streams that no server has seen

  @Test func `a stream above a goaway's last id is made again on a new connection`() async throws {
    let accepted = Counter()
    try await RawServer.with(
      { server, stream, before in
        guard before == 0 else { return server.session.answer(stream, "\(before)") }
        accepted.increment()
        server.send(RawServer.goAway(lastStream: 0))
      },
      channel: Self.configuration(nil)
    ) { channel in
      let answer = try await call(channel)
      #expect(answer == "1")
      #expect(accepted.value == 1)
    }
  }

  // MARK: Hedging

  private static func hedge(
    _ attempts: Int = 3,
    delay: Duration = .zero
  ) -> MethodConfig.Repetition {
    .hedge(
      MethodConfig.HedgingPolicy(
        maxAttempts: attempts,
        hedgingDelay: delay,
        nonFatalStatusCodes: [.unavailable]
      )
    )
  }

  @Test func `a hedged call takes the first answer, and the others end`() async throws {
    let ended = Counter()
    let started = Counter()
    var service = EchoService()
    service.unary = { request, _ in
      if started.increment() == 3 { return "third" }
      let cancelled = Signal()
      await waitForCancellation(cancelled)
      ended.increment()
      throw CancellationError()
    }
    try await withLoopback(service, channel: Self.configuration(Self.hedge())) { channel, _ in
      let answer = try await call(channel)
      #expect(answer == "third")
      let count = await ended.wait(above: 1)
      #expect(count == 2)
    }
  }

  @Test func `an attempt that fails lets the next begin before its time`() async throws {
    try await RawServer.with(
      { server, stream, before in
        if before < 2 {
          server.session.refuse(stream, .unavailable)
        } else {
          server.session.answer(stream, "\(before)")
        }
      },
      channel: Self.configuration(Self.hedge(delay: .seconds(3600)))
    ) { channel in
      let answer = try await call(channel)
      #expect(answer == "2")
    }
  }

  @Test func `attempts of a hedged call that fail at once do not wait for each other`() async throws
  {
    var configuration = Self.configuration(Self.hedge(delay: .seconds(3600)))
    configuration.backoffInitial = .seconds(3600)
    configuration.backoffMax = .seconds(3600)
    let channel = RPCChannel(
      host: "127.0.0.1",
      port: 1,
      configuration: configuration,
      group: testGroup
    )
    let options = CallOptions(timeout: .seconds(20), waitForReady: false)
    for _ in 0..<2 {
      // From the second call on the channel has no connection before the call begins.
      let error = try await failure {
        try await channel.unary(EchoMethods.unary, Bytes("x"), options: options) as Bytes
      }
      #expect(error.code == .unavailable)
    }
    await channel.close()
  }

  @Test func `no attempt of a hedged call outlives it`() async throws {
    let started = Counter()
    let ended = Counter()
    var service = EchoService()
    service.unary = { _, _ in
      started.increment()
      let cancelled = Signal()
      await waitForCancellation(cancelled)
      ended.increment()
      throw CancellationError()
    }
    try await withLoopback(service, channel: Self.configuration(Self.hedge())) { channel, _ in
      let running = Task { try await failure { try await call(channel) } }
      _ = await started.wait(above: 2)
      running.cancel()
      let error = try await running.value
      #expect(error.code == .cancelled)
      let count = await ended.wait(above: 2)
      #expect(count == 3 && started.value == 3)
    }
  }
}
