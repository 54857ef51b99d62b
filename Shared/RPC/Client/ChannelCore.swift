import Logging
import NIOCore

/// What a channel consists of: what its name stands for, its policy, its endpoints, and the attempts
/// that wait for one.
///
/// Everything of a channel happens on one event loop: what the resolver tells, what the policy
/// picks, the connections and the calls.
///
/// `@unchecked Sendable`: the variables are used on `eventLoop` alone.
final class ChannelCore: @unchecked Sendable {
  /// The `:authority` of every call.
  let authority: String
  let configuration: ChannelConfiguration
  let encodings = ServerEncodings()
  let eventLoop: any EventLoop
  /// How methods are called.
  let methodConfigs: MethodConfigTable
  /// The metadata whose value the policy hashes.
  let hashHeader: String?
  /// Whether calls that failed may be made again; nil: always.
  var retryThrottle: RetryThrottle?
  /// The time of silence after which a server is asked for a life sign; servers may make it longer.
  private(set) var keepaliveInterval: TimeAmount

  let entityID = EntityID.next()
  let target: ChannelTarget
  var random: RandomSource
  private var resolver: NameResolver?
  /// What the endpoints are, as it was told last.
  private var lastList: [Endpoint]?
  var table = EndpointTable()
  var policy: any BalancingPolicy
  var detector: OutlierDetector?
  var detectorTimer: Scheduled<Void>?
  private var policyTimer: Scheduled<Void>?
  /// Those of the table, and those that are gone from it and end with their last call.
  var subchannels: [Int: Subchannel] = [:]
  private var healthWatches: [Int: HealthWatch] = [:]
  /// The service after whose health servers are asked.
  private let healthService: String?
  var waiting = CircularBuffer<ClientAttempt>()
  /// Attempts that wait here and in the subchannels.
  var queuedCount = 0
  /// Those of them that are over.
  var endedCount = 0
  /// Calls that have begun and are not over.
  var outstandingCalls = 0
  /// Calls of the channel's user.
  var callCounts = CallCounts()
  private var lastFailure = "not connected yet"
  /// Whether the name could not be looked up and never was.
  var cannotResolve = false
  private var isActing = false
  private var mustActAgain = false
  var isClosed = false
  private var closeWaiters: [EventLoopPromise<Void>] = []

  init(target: ChannelTarget, configuration: ChannelConfiguration, eventLoop: any EventLoop) {
    self.target = target
    authority = configuration.authority ?? target.authority
    self.configuration = configuration
    self.eventLoop = eventLoop
    random = configuration.random
    keepaliveInterval = TimeAmount(configuration.keepaliveInterval)
    let service = configuration.serviceConfig
    methodConfigs = MethodConfigTable(service)
    retryThrottle = service.retryThrottling.map(RetryThrottle.init)
    hashHeader = service.loadBalancing.hashHeader
    policy = service.loadBalancing.makePolicy()
    let detection = service.loadBalancing.isPickFirst ? nil : service.outlierDetection
    detector = detection.map(OutlierDetector.init)
    healthService = service.loadBalancing.isPickFirst ? nil : service.healthCheckService
  }

  /// Begins to connect.
  func start() {
    eventLoop.assertInEventLoop()
    guard !isClosed else { return }
    watchOutliers()
    switch target.kind {
    case .endpoints(let endpoints): update(endpoints)
    case .name(let name):
      let resolver = NameResolver(
        name,
        configuration,
        eventLoop,
        prefersOneFamily: !configuration.serviceConfig.loadBalancing.isPickFirst
      ) { [weak self] result in
        self?.resolved(result)
      }
      self.resolver = resolver
      resolver.lookAgain()
    }
  }

  // MARK: Endpoints

  private func resolved(_ result: Result<[Endpoint], RPCError>) {
    guard !isClosed else { return }
    switch result {
    case .success(let endpoints):
      cannotResolve = false
      update(endpoints)
    case .failure(let error):
      // What was found before is better than nothing.
      guard table.entries.isEmpty else { return }
      lastFailure = error.message
      cannotResolve = true
      act()
    }
  }

  private func update(_ endpoints: [Endpoint]) {
    // What was told before must not interrupt a policy that is about to connect.
    guard endpoints != lastList else { return }
    lastList = endpoints
    let (added, removed) = table.update(endpoints)
    for entry in added {
      subchannels[entry.id] = Subchannel(id: entry.id, endpoint: entry.endpoint, core: self)
    }
    policy.updated(table, &random)
    detector?.update(table.entries.map(\.id))
    for entry in removed { subchannels[entry.id]?.drain() }
    act()
  }

  func subchannelChanged(_ subchannel: Subchannel) {
    guard !isClosed else { return }
    watchHealth(of: subchannel)
    stateChanged(subchannel, healthWatches[subchannel.id]?.state ?? subchannel.state)
  }

  /// The server of the subchannel says something else than before.
  func healthChanged(_ subchannel: Subchannel) {
    guard !isClosed, let state = healthWatches[subchannel.id]?.state else { return }
    stateChanged(subchannel, state)
  }

  /// Asks servers while they are connected.
  private func watchHealth(of subchannel: Subchannel) {
    guard let healthService else { return }
    if subchannel.state != .ready {
      healthWatches.removeValue(forKey: subchannel.id)?.stop()
    } else if healthWatches[subchannel.id] == nil {
      let watch = HealthWatch(subchannel, service: healthService)
      healthWatches[subchannel.id] = watch
      watch.start()
    }
  }

  private func stateChanged(_ subchannel: Subchannel, _ state: ConnectivityState) {
    guard let before = table[id: subchannel.id]?.state else { return }
    table.set(subchannel.id, state)
    policy.changed(subchannel.id, table)
    if state == .transientFailure || before == .ready {
      let isOnly = table.entries.count == 1
      let isConnected = subchannel.state == .ready
      let reason = isConnected ? "the server says that it does not serve" : subchannel.lastFailure
      lastFailure = isOnly ? reason : "\(subchannel.endpoint): \(reason)"
      resolver?.lookAgain()
    }
    act()
  }

  /// The last connection of a closed subchannel is gone.
  func subchannelGone(_ subchannel: Subchannel) {
    subchannels[subchannel.id] = nil
    finishClosing()
  }

  /// Does what follows from a change: connects what the policy wants, and has the attempts that wait
  /// looked at again.
  func act() {
    mustActAgain = true
    guard !isActing else { return }
    isActing = true
    defer { isActing = false }
    // Each round but the first follows from a change of an endpoint's state.
    while mustActAgain, !isClosed {
      mustActAgain = false
      admitWaiting()
      connectWanted()
    }
    if !isClosed { armPolicy() }
  }

  private func connectWanted() {
    for entry in table.entries {
      guard let subchannel = subchannels[entry.id] else { continue }
      if policy.wants(entry) {
        if subchannel.state == .idle { subchannel.connect() }
      } else if policy.closesUnwanted, subchannel.state != .idle {
        subchannel.disconnect()
      }
    }
  }

  private func armPolicy() {
    guard policyTimer == nil, policy.awaitsTime(table) else { return }
    policyTimer = eventLoop.scheduleTask(in: TimeAmount(BalancingLimits.connectionDelay)) {
      self.policyTimer = nil
      guard !self.isClosed else { return }
      self.policy.timePassed(self.table)
      self.act()
    }
  }

  /// The attempts of an endpoint that are not over became more or fewer.
  func outstandingChanged(_ subchannel: Subchannel, by count: Int) {
    table.add(count, outstandingOf: subchannel.id)
  }

  // MARK: Calls

  /// Counts a call; returns what is wrong when there are too many.
  func callBegan(at now: NIODeadline) -> RPCError? {
    if let limit = configuration.maxOutstandingCalls, outstandingCalls >= limit {
      return RPCError(
        .unavailable,
        "circuit breaker: \(outstandingCalls) calls of \(target) are outstanding, \(limit) may be"
      )
    }
    outstandingCalls += 1
    callCounts.began(at: now)
    return nil
  }

  func callEnded(isSuccess: Bool) {
    outstandingCalls -= 1
    callCounts.ended(isSuccess: isSuccess)
  }

  /// Gives the attempt to an endpoint, or lets it wait, or fails it.
  func admit(_ attempt: ClientAttempt) {
    eventLoop.assertInEventLoop()
    guard !isClosed else { return attempt.call.fail(closed) }
    attempt.assign(to: nil)
    if let subchannel = attempt.call.pinned {
      guard subchannel.state == .ready else { return attempt.call.fail(noConnection()) }
      return subchannel.take(attempt)
    }
    switch pick(attempt) {
    case .endpoint(let id):
      guard let subchannel = subchannels[id] else { return enqueue(attempt) }
      if let limit = configuration.maxOutstandingCallsPerEndpoint,
        subchannel.outstanding >= limit
      {
        let count = subchannel.outstanding
        let endpoint = subchannel.endpoint
        let message =
          "circuit breaker: \(count) calls of \(endpoint) are outstanding, \(limit) may be"
        return attempt.drop(RPCError(.unavailable, message))
      }
      attempt.assign(to: subchannel)
      subchannel.take(attempt)
    case .fail where !attempt.call.waitsForConnection:
      if !isActing { connectWanted() }
      attempt.fail(noConnection())
    case .fail, .wait:
      enqueue(attempt)
      if !isActing { connectWanted() }
    }
  }

  private func pick(_ attempt: ClientAttempt) -> Pick {
    guard !table.entries.isEmpty else { return cannotResolve ? .fail : .wait }
    return policy.pick(hash: attempt.call.hash, table, &random)
  }

  func noConnection() -> RPCError {
    RPCError(.unavailable, "no connection to \(target): \(lastFailure)")
  }

  /// A server finds that it is asked for life signs too often (gRFC A8).
  func tooManyPings() {
    let doubled = keepaliveInterval.nanoseconds.multipliedReportingOverflow(by: 2)
    guard !doubled.overflow else { return }
    keepaliveInterval = .nanoseconds(doubled.partialValue)
  }

  // MARK: The end

  private var closed: RPCError { RPCError(.cancelled, "the channel to \(target) is closed") }

  /// Fails what waits and runs, and closes every connection; the promise is kept when that is done.
  func close(_ promise: EventLoopPromise<Void>?) {
    eventLoop.assertInEventLoop()
    isClosed = true
    if let promise { closeWaiters.append(promise) }
    resolver?.stop()
    resolver = nil
    for watch in healthWatches.values { watch.stop() }
    healthWatches = [:]
    detectorTimer?.cancel()
    policyTimer?.cancel()
    let attempts = waiting
    waiting = CircularBuffer()
    for attempt in attempts { dequeued(attempt) }
    for attempt in attempts { attempt.call.fail(closed) }
    for (id, subchannel) in subchannels.sorted(by: { $0.key < $1.key }) {
      subchannel.close(closed)
      if subchannel.isGone { subchannels[id] = nil }
    }
    finishClosing()
  }

  private func finishClosing() {
    guard isClosed, subchannels.isEmpty else { return }
    let promises = closeWaiters
    closeWaiters = []
    for promise in promises { promise.succeed() }
  }
}
