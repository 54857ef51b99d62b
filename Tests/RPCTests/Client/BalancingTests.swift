import Logging
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import RPC

/// Channels to several servers.
@Suite(.timeLimit(.minutes(5))) struct BalancingTests {
  /// Runs `body` with that many servers, which answer with their number, and their ports.
  private func withServers(
    _ count: Int,
    _ body: ([RPCServer], [Int]) async throws -> Void
  ) async throws {
    var servers: [RPCServer] = []
    var ports: [Int] = []
    for index in 0..<count {
      let (server, port) = try await start("\(index)")
      servers.append(server)
      ports.append(port)
    }
    do {
      try await body(servers, ports)
    } catch {
      for server in servers { await server.shutdown(grace: .zero) }
      throw error
    }
    for server in servers { await server.shutdown(grace: .zero) }
  }

  private func start(
    _ text: String,
    host: String = "127.0.0.1",
    port: Int = 0
  ) async throws -> (RPCServer, Int) {
    var service = EchoService()
    service.unary = { _, _ in Bytes(text) }
    var router = Router()
    router.register(service)
    var configuration = ServerConfiguration(host: host, port: port)
    configuration.logger.logLevel = .error
    let server = RPCServer(router: router, configuration: configuration, group: testGroup)
    let address = try await server.start()
    return (server, try #require(address.port))
  }

  private func target(_ ports: [Int]) -> String {
    "ipv4:" + ports.map { "127.0.0.1:\($0)" }.joined(separator: ",")
  }

  private func configuration(_ balancing: LoadBalancing) -> ChannelConfiguration {
    var configuration = ChannelConfiguration()
    configuration.backoffInitial = .milliseconds(20)
    configuration.serviceConfig.loadBalancing = balancing
    return configuration
  }

  private func call(
    _ channel: RPCChannel,
    metadata: Metadata = Metadata(),
    waits: Bool = true
  ) async throws -> String {
    let response: Bytes = try await channel.unary(
      EchoMethods.unary,
      Bytes("x"),
      options: CallOptions(
        timeout: .seconds(30),
        metadata: metadata,
        waitForReady: waits
      )
    )
    return response.text
  }

  /// Calls until the answers are `expected`, whatever else comes before.
  private func callUntil(_ channel: RPCChannel, answeredBy expected: Set<String>) async throws {
    var seen: Set<String> = []
    while seen != expected { seen.insert(try await call(channel)) }
  }

  @Test func `round_robin reaches every server in turn`() async throws {
    try await withServers(3) { _, ports in
      let channel = try RPCChannel(
        target: target(ports),
        configuration: configuration(.roundRobin),
        group: testGroup
      )
      try await callUntil(channel, answeredBy: ["0", "1", "2"])
      var answers: [String: Int] = [:]
      for _ in 0..<30 { answers[try await call(channel), default: 0] += 1 }
      #expect(answers == ["0": 10, "1": 10, "2": 10])
      await channel.close()
    }
  }

  @Test(arguments: [LoadBalancing.roundRobin, .leastRequest(), .ringHash(), .pickFirst()])
  func `calls go on when a server ends`(balancing: LoadBalancing) async throws {
    try await withServers(2) { servers, ports in
      let channel = try RPCChannel(
        target: target(ports),
        configuration: configuration(balancing),
        group: testGroup
      )
      _ = try await call(channel)
      await servers[0].shutdown(grace: .zero)
      for _ in 0..<20 {
        let answer = try await call(channel)
        #expect(answer == "1")
      }
      await channel.close()
    }
  }

  @Test func `pick_first passes over a server that is not there`() async throws {
    try await withServers(2) { servers, ports in
      await servers[0].shutdown(grace: .zero)
      let channel = try RPCChannel(target: target(ports), group: testGroup)
      for _ in 0..<5 {
        let answer = try await call(channel, waits: false)
        #expect(answer == "1")
      }
      await channel.close()
    }
  }

  @Test func `equal header values go to one server`() async throws {
    try await withServers(3) { _, ports in
      let ring = LoadBalancing.RingHash(requestHashHeader: "X-Session")
      let channel = try RPCChannel(
        target: target(ports),
        configuration: configuration(.ringHash(ring)),
        group: testGroup
      )
      var servers: Set<String> = []
      for session in 0..<20 {
        var metadata = Metadata()
        metadata.add("session \(session)", for: "x-session")
        var answers: Set<String> = []
        for _ in 0..<3 { answers.insert(try await call(channel, metadata: metadata)) }
        #expect(answers.count == 1)
        servers.formUnion(answers)
      }
      #expect(servers.count == 3)
      await channel.close()
    }
  }

  @Test func `without any server a call fails and says so, or waits if it may`() async throws {
    try await withServers(2) { servers, ports in
      for server in servers { await server.shutdown(grace: .zero) }
      let channel = try RPCChannel(
        target: target(ports),
        configuration: configuration(.roundRobin),
        group: testGroup
      )
      let error = try await failure { try await call(channel, waits: false) }
      #expect(error.code == .unavailable)
      #expect(error.message.contains("127.0.0.1:"))
      let waiting = Task { try await call(channel) }
      let (server, _) = try await start("again", port: ports[1])
      let answer = try await waiting.value
      #expect(answer == "again")
      await channel.close()
      await server.shutdown(grace: .zero)
    }
  }

  // MARK: Names

  @Test func `a name is looked up again when its server is gone`() async throws {
    let (first, port) = try await start("first")
    let addresses = Mutex(["127.0.0.1"])
    var configuration = configuration(.roundRobin)
    configuration.resolutionGap = .milliseconds(20)
    configuration.lookup.addresses = { _ in addresses.withLock { $0 } }
    let channel = try RPCChannel(
      target: "dns:///llmos.test:\(port)",
      configuration: configuration,
      group: testGroup
    )
    let before = try await call(channel)
    #expect(before == "first")
    let (second, _) = try await start("second", host: "127.0.0.2", port: port)
    addresses.withLock { $0 = ["127.0.0.2"] }
    await first.shutdown(grace: .zero)
    let after = try await call(channel)
    #expect(after == "second")
    await channel.close()
    await second.shutdown(grace: .zero)
  }

  @Test func `a name that cannot be looked up is UNAVAILABLE, until it can be`() async throws {
    let (server, port) = try await start("x")
    let fails = Atomic(true)
    var configuration = ChannelConfiguration()
    configuration.resolutionGap = .milliseconds(20)
    configuration.lookup.addresses = { name throws(RPCError) in
      guard !fails.load(ordering: .relaxed) else {
        throw RPCError(.unavailable, "look up \(name): no such name")
      }
      return ["127.0.0.1"]
    }
    let channel = try RPCChannel(
      target: "llmos.test:\(port)",
      configuration: configuration,
      group: testGroup
    )
    let error = try await failure { try await call(channel, waits: false) }
    #expect(error.code == .unavailable)
    #expect(error.message.contains("no such name"))
    let state = await channel.status().state
    #expect(state == .transientFailure)
    let waiting = Task { try await call(channel) }
    fails.store(false, ordering: .relaxed)
    let answer = try await waiting.value
    #expect(answer == "x")
    await channel.close()
    await server.shutdown(grace: .zero)
  }

  // MARK: Limits

  @Test func `more connections are made when the server allows no more streams`() async throws {
    var limits = HTTP2SessionLimits()
    limits.maxConcurrentStreams = 1
    var configuration = ChannelConfiguration()
    configuration.maxConnectionsPerEndpoint = 3
    let servers = Mutex<[ObjectIdentifier: (RawServer, Int32)]>([:])
    let arrived = Counter()
    try await RawServer.with(
      { server, stream, _ in
        // Each answers only when all three hold a call.
        servers.withLock { $0[ObjectIdentifier(server)] = (server, stream) }
        arrived.increment()
      },
      limits: limits,
      channel: configuration
    ) { channel in
      try await withThrowingTaskGroup(of: String.self) { group in
        for _ in 0..<3 { group.addTask { try await call(channel) } }
        _ = await arrived.wait(above: 2)
        let held = servers.withLock { $0.values.map(\.self) }
        #expect(held.count == 3)
        for (server, stream) in held { server.answerLater(stream, "ok") }
        for try await answer in group { #expect(answer == "ok") }
      }
    }
  }

  @Test func `calls above the circuit breaker's bound fail at once`() async throws {
    for isPerEndpoint in [false, true] {
      let (started, gate) = (Counter(), Signal())
      var service = EchoService()
      service.unary = { request, _ in
        started.increment()
        await gate.wait()
        return request
      }
      var configuration = ChannelConfiguration()
      if isPerEndpoint {
        configuration.maxOutstandingCallsPerEndpoint = 2
      } else {
        configuration.maxOutstandingCalls = 2
      }
      try await withLoopback(service, channel: configuration) { channel, _ in
        try await withThrowingTaskGroup(of: String.self) { group in
          for _ in 0..<2 { group.addTask { try await call(channel) } }
          _ = await started.wait(above: 1)
          let error = try await failure { try await call(channel) }
          #expect(error.code == .unavailable)
          #expect(error.message.contains("circuit breaker"))
          gate.set()
          for try await answer in group { #expect(answer == "x") }
        }
        let answer = try await call(channel)
        #expect(answer == "x")
      }
    }
  }

  @Test func `an endpoint that fails its calls is ejected`() async throws {
    let failing = Counter()
    var broken = EchoService()
    broken.unary = { _, _ in
      failing.increment()
      throw RPCError(.internal, "broken")
    }
    try await withServer(broken) { _, badPort in
      try await withServers(1) { _, ports in
        var configuration = configuration(.roundRobin)
        var outliers = OutlierDetection(
          failurePercentageEjection: .init(threshold: 50, minimumHosts: 2, requestVolume: 5)
        )
        outliers.interval = .milliseconds(200)
        outliers.maxEjectionPercent = 50
        configuration.serviceConfig.outlierDetection = outliers
        let channel = try RPCChannel(
          target: target(ports + [badPort]),
          configuration: configuration,
          group: testGroup
        )
        // Until it is ejected every other call fails; from then on none does.
        var successes = 0
        while successes < 20 {
          try Task.checkCancellation()
          do {
            _ = try await call(channel)
            successes += 1
          } catch {
            successes = 0
          }
        }
        #expect(failing.value >= 5)
        await channel.close()
      }
    }
  }

  @Test func `pick_first ejects nothing: there is nowhere else to go`() async throws {
    var service = EchoService()
    service.unary = { _, _ in throw RPCError(.internal, "broken") }
    var configuration = configuration(.pickFirst())
    var outliers = OutlierDetection(
      failurePercentageEjection: .init(threshold: 1, minimumHosts: 1, requestVolume: 1)
    )
    outliers.interval = .milliseconds(20)
    outliers.maxEjectionPercent = 100
    configuration.serviceConfig.outlierDetection = outliers
    try await withLoopback(service, channel: configuration) { channel, _ in
      _ = try await failure { try await call(channel) }
      // The interval of the call ends before that.
      let loop = channel.lifetime.core.eventLoop
      try await loop.scheduleTask(in: .milliseconds(50)) {}.futureResult.get()
      let ejected = await channel.status().endpoints.map(\.isEjected)
      #expect(ejected == [false])
    }
  }

  // MARK: Keepalive

  @Test func `a server that is asked too often makes the channel ask half as often`() async throws {
    let core = ChannelCore(
      target: ChannelTarget(host: "127.0.0.1", port: 1),
      configuration: ChannelConfiguration(),
      eventLoop: testGroup.any()
    )
    let before = core.keepaliveInterval
    core.tooManyPings()
    #expect(core.keepaliveInterval.nanoseconds == 2 * before.nanoseconds)
    for _ in 0..<100 { core.tooManyPings() }
    #expect(core.keepaliveInterval > .zero)
  }
}
