import Logging
import NIOCore

@testable import RPC

/// One run: a channel, a server that comes and goes, a network that fails, and some dozens of calls.
///
/// `@unchecked Sendable`: as its world.
final class SimulatedRun: @unchecked Sendable {
  /// How much may go wrong.
  struct Weather {
    /// Bad things done to connections.
    var disturbances = 0
    /// Times that the server goes, in whatever way.
    var restarts = 0
    var refusals = 0.0

    var isCalm: Bool { disturbances == 0 && restarts == 0 && refusals == 0 }
  }

  /// What becomes of calls and of memory must be known by then.
  private static let timeMax = TimeAmount.minutes(30)
  private static let stepsMax = 3_000_000
  private static let grace = TimeAmount.seconds(3)

  let seed: UInt64
  let world: SimulatedWorld
  private let userLoop: SimulatedLoop
  private let clientLoop: SimulatedLoop
  private let serverLoop: SimulatedLoop
  private let network: SimulatedNetwork
  private let service: SimulatedService
  private let users: LoopExecutor
  private let census = Census()
  private var weather = Weather()
  private var server = ServerConfiguration()
  private var client = ChannelConfiguration()
  private var cores: [ServerCore] = []
  private(set) var outcomes: [Int: StatusCode] = [:]
  private var ended = 0
  /// Whether the server stays away.
  private var isEnding = false

  init(seed: UInt64, calls: Int, logs: Bool = false) {
    self.seed = seed
    world = SimulatedWorld(seed: seed)
    userLoop = world.makeLoop("user")
    clientLoop = world.makeLoop("client")
    serverLoop = world.makeLoop("server")
    network = SimulatedNetwork(world, serverLoop)
    users = LoopExecutor(userLoop)
    let world = world
    service = SimulatedService(
      world,
      server: serverLoop,
      user: userLoop,
      plans: (0..<calls).map { SimulatedPlan($0, world) }
    )
    drawWeather()
    drawServer()
    drawClient()
    guard logs else { return }
    server.logger.logLevel = .debug
    client.logger.logLevel = .debug
  }

  var failures: [String] { service.failures }

  private func fail(_ what: String) { service.failures.append(what) }

  // MARK: The setting

  private func drawWeather() {
    guard world.chance(0.75) else { return }
    weather.disturbances = world.number(in: 0...8)
    weather.restarts = world.number(in: 0...3)
    weather.refusals = world.pick([0, 0, 0.2, 0.6])
    network.refusals = weather.refusals
    network.capacity = world.pick([2_000, 16_000, 64_000, 500_000])
  }

  private func drawServer() {
    server.logger.logLevel = .critical
    server.census = census
    server.streamWindowBytes = world.pick([1_000, 16_384, 65_536, 1_048_576])
    server.writeBufferBytes = world.pick([1_024, 16_384, 65_536])
    server.maxConcurrentStreams = world.pick([1, 3, 20, 1_024])
    server.maxMessageBytes = world.pick([20_000, 4_194_304, 4_194_304])
    server.maxBufferedBytes = world.pick([100_000, 67_108_864, 67_108_864])
    server.maxUnreadBytes = world.pick([100_000, 67_108_864, 67_108_864])
    server.maxMetadataBytes = world.pick([3_000, 65_536])
    server.handshakeTimeout = .seconds(3)
    server.keepaliveInterval = .seconds(5)
    server.keepaliveTimeout = .seconds(3)
    server.minPingInterval = .seconds(1)
    server.permitsPingsWithoutCalls = true
    server.random = world.random
    // The end of a connection must not be felt, unless calls run above the grace.
    server.maxConnectionAge = world.pick([nil, nil, .seconds(1)])
    server.maxConnectionIdle = world.pick([nil, nil, .milliseconds(200)])
    if !weather.isCalm { server.maxConnectionAgeGrace = world.pick([nil, .milliseconds(500)]) }
    server.onCallEnd = { record in
      self.ended += 1
      if record.duration < .zero { self.fail("a call ended before it began") }
    }
  }

  private func drawClient() {
    client.logger.logLevel = .critical
    client.census = census
    client.random = world.random
    client.connector = network.connector
    client.streamWindowBytes = world.pick([1_000, 16_384, 65_536, 1_048_576])
    client.writeBufferBytes = world.pick([1_024, 16_384, 65_536])
    client.maxMessageBytes = world.pick([20_000, 4_194_304, 4_194_304])
    client.maxMetadataBytes = world.pick([3_000, 65_536])
    client.maxQueuedCalls = world.pick([5, 10_000])
    client.maxConnectionsPerEndpoint = world.pick([1, 1, 3])
    client.retryBufferBytes = world.pick([1_000, 65_536])
    if world.chance(0.4) { client.serviceConfig = serviceConfig() }
    client.connectTimeout = .seconds(3)
    client.backoffMax = .seconds(1)
    client.keepaliveInterval = .seconds(5)
    client.keepaliveTimeout = .seconds(3)
  }

  private func serviceConfig() -> ServiceConfig {
    let codes: Set<StatusCode> = [.unavailable, .aborted, .resourceExhausted]
    let retry = MethodConfig.RetryPolicy(
      maxAttempts: world.number(in: 2...5),
      initialBackoff: .milliseconds(world.number(in: 1...300)),
      maxBackoff: .seconds(1),
      retryableStatusCodes: codes
    )
    let hedge = MethodConfig.HedgingPolicy(
      maxAttempts: world.number(in: 2...5),
      hedgingDelay: .milliseconds(world.pick([0, 1, 100])),
      nonFatalStatusCodes: codes
    )
    return ServiceConfig(
      methodConfig: SimulatedPlan.methods.map { method in
        MethodConfig(
          name: [MethodConfig.Name(service: method.service, method: method.method)],
          waitForReady: world.pick([nil, true]),
          repetition: world.pick([nil, .retry(retry), .hedge(hedge)])
        )
      },
      retryThrottling: world.pick([nil, RetryThrottling(maxTokens: 10, tokenRatio: 0.1)]),
      loadBalancing: world.pick([.pickFirst(), .roundRobin, .leastRequest(), .ringHash()])
    )
  }

  // MARK: The run

  /// Runs to the end of the last connection, and looks at what is left.
  func run() {
    startServer()
    scheduleWeather()
    let target = world.pick(["static:127.0.0.1:1", "static:127.0.0.1:1,127.0.0.1:2,127.0.0.1:3"])
    var channel = try? RPCChannel(target: target, configuration: client, group: clientLoop)
    for plan in service.plans { begin(plan, channel) }
    guard advance(to: "every call is over", { self.outcomes.count == self.service.plans.count })
    else { return }
    var isClosed = false
    close(channel) { isClosed = true }
    channel = nil
    guard advance(to: "the channel is closed", { isClosed }) else { return }
    isEnding = true
    stopServer()
    var idle = 0
    for core in cores { wait(for: core) { idle += 1 } }
    guard advance(to: "the servers are idle", { idle == self.cores.count }) else { return }
    guard advance(to: "the connections are gone", { self.network.links.allSatisfy(\.isGone) })
    else { return }
    checkRest()
  }

  private func begin(_ plan: SimulatedPlan, _ channel: RPCChannel?) {
    guard let channel else { return }
    let task = Self.spawn(users) { [service, world, userLoop] in
      await world.sleep(plan.start, on: userLoop)
      let begun = world.now
      var code = StatusCode.ok
      do {
        try await service.call(plan, on: channel)
      } catch let error as RPCError {
        code = error.code
        self.check(error, plan, begun)
      } catch {
        self.fail("call \(plan.id): threw \(error)")
      }
      if code == .ok { self.checkSuccess(plan) }
      world.trace("over", plan.id, code.rawValue)
      guard self.outcomes.updateValue(code, forKey: plan.id) == nil, userLoop.inEventLoop else {
        return self.fail("call \(plan.id): ended twice, or elsewhere")
      }
    }
    if let time = plan.cancelAfter {
      let due = world.now + plan.start + time
      _ = world.schedule(at: due, on: userLoop, isForeign: false) { task.cancel() }
    }
  }

  /// Nonisolated and with the loop preferred, so that nothing runs on threads of the system.
  private static func spawn(
    _ executor: LoopExecutor,
    _ body: @escaping @Sendable () async -> Void
  ) -> Task<Void, Never> {
    Task(executorPreference: executor) { await body() }
  }

  private func close(_ channel: RPCChannel?, _ done: @escaping () -> Void) {
    let done = SimulatedAction(done)
    _ = Self.spawn(users) {
      await channel?.close()
      done.run()
    }
  }

  private func wait(for core: ServerCore, _ done: @escaping () -> Void) {
    let done = SimulatedAction(done)
    _ = Self.spawn(users) {
      await core.waitUntilIdle()
      done.run()
    }
  }

  private func advance(to what: String, _ isDone: () -> Bool) -> Bool {
    let timeMax = world.now + Self.timeMax
    while !isDone() {
      guard world.step() else {
        fail("nothing happens any more before \(what): \(network.summary), \(counts)")
        return false
      }
      checkLimits()
      guard world.now < timeMax, world.steps < Self.stepsMax else {
        fail(
          "it takes too long until \(what): \(world.steps) steps, \(world.now), \(network.summary), \(counts)"
        )
        return false
      }
      if failures.count > 10 { return false }
    }
    return true
  }

  // MARK: The server and the weather

  private func startServer() {
    var router = Router()
    router.register(service)
    let core = ServerCore(router: router, configuration: server)
    cores.append(core)
    network.core = core
  }

  /// Ends the server as `RPCServer.shutdown` does.
  private func stopServer() {
    guard let core = network.core else { return }
    network.core = nil
    core.forEachConnection(draining: true) { $0.beginDrain() }
    _ = world.schedule(at: world.now + Self.grace, on: serverLoop, isForeign: false) {
      core.forEachConnection(draining: true) { $0.cancelAll() }
    }
  }

  private func scheduleWeather() {
    for _ in 0..<weather.disturbances {
      let due = world.now + .microseconds(world.number(in: 1...6_000_000))
      _ = world.schedule(at: due, on: serverLoop, isForeign: false) { self.network.disturb() }
    }
    for _ in 0..<weather.restarts {
      let due = world.now + .microseconds(world.number(in: 1...6_000_000))
      let pause = TimeAmount.milliseconds(world.pick([0, 1, 500, 4_000]))
      _ = world.schedule(at: due, on: serverLoop, isForeign: false) {
        self.stopServer()
        _ = self.world.schedule(at: self.world.now + pause, on: self.serverLoop, isForeign: false) {
          if self.network.core == nil, !self.isEnding { self.startServer() }
        }
      }
    }
    // In the end the network is good, or calls that wait for it would wait for ever.
    let due = world.now + .seconds(8)
    _ = world.schedule(at: due, on: serverLoop, isForeign: false) { self.network.refusals = 0 }
  }

  // MARK: What must hold

  /// Whether a call may fail so.
  private func check(_ error: RPCError, _ plan: SimulatedPlan, _ begun: NIODeadline) {
    let isLegal =
      switch error.code {
      case .deadlineExceeded:
        plan.timeout.map { begun + TimeAmount.nanoseconds($0.clampedNanoseconds) <= world.now }
          ?? false
      case .cancelled: plan.cancelAfter != nil || !weather.isCalm
      case .unavailable:
        // A server refuses a stream while its stubborn handlers fill it.
        !weather.isCalm || server.maxConcurrentStreams < 1_024
      case .resourceExhausted:
        server.maxMessageBytes == 20_000 || client.maxMessageBytes == 20_000
          || server.maxBufferedBytes == 100_000 || server.maxUnreadBytes == 100_000
          || server.maxMetadataBytes == 3_000 || client.maxMetadataBytes == 3_000
          || client.maxQueuedCalls == 5
      default: error.code == plan.status && error.message == "planned \(plan.id)"
      }
    if !isLegal { fail("call \(plan.id) (\(plan.method.method)): \(error)") }
  }

  private func checkSuccess(_ plan: SimulatedPlan) {
    guard plan.status == .ok || plan.dropAfter != nil else {
      return fail("call \(plan.id): succeeded, but was to end with \(plan.status)")
    }
  }

  /// What became of calls, and of what; for messages.
  private var counts: String {
    Census.Kind.allCases.map { "\($0) \(census[$0].alive)" }.joined(separator: ", ")
  }

  /// After each step: no connection goes above its limits.
  private func checkLimits() {
    for link in network.links {
      guard let connection = link.serverConnection, !connection.isClosed else { continue }
      let session = connection.session
      if session.streamCount > server.maxConcurrentStreams {
        fail("\(session.streamCount) streams on a server's connection")
      }
      if connection.handlers > server.maxConcurrentStreams {
        fail("\(connection.handlers) handlers on a server's connection")
      }
      // A frame is taken in before the call that goes above the bound is ended.
      if connection.requestBudget.usedBytes > server.requestBytesMax + 80_000 {
        fail("\(connection.requestBudget.usedBytes) bytes of requests wait")
      }
      if session.heldBytes > server.maxUnreadBytes + 2 * 200_005 {
        fail("\(session.heldBytes) bytes of responses wait")
      }
    }
  }

  /// At the end: nothing is left.
  private func checkRest() {
    // What is on its way to be freed goes without the clock.
    for _ in 0..<1_000 where !world.isIdle { _ = world.step() }
    if world.foreignTimers > 0 { fail("\(world.foreignTimers) timers are left") }
    for core in cores where core.requestBytes.usedBytes != 0 || core.unreadBytes.usedBytes != 0 {
      fail("\(core.requestBytes.usedBytes), \(core.unreadBytes.usedBytes) bytes are still counted")
    }
    for kind in Census.Kind.allCases {
      if census[kind].alive != 0 { fail("\(census[kind].alive) of kind \(kind) are left") }
    }
    if census[.serverCall].made != ended {
      fail("\(ended) calls ended on the server, but \(census[.serverCall].made) began")
    }
    if census[.clientCall].made != outcomes.count {
      fail("\(outcomes.count) calls ended, but \(census[.clientCall].made) began")
    }
  }
}

/// Something to do in a task of the world.
///
/// `@unchecked Sendable`: as its world.
private final class SimulatedAction: @unchecked Sendable {
  let run: () -> Void

  init(_ run: @escaping () -> Void) { self.run = run }
}
