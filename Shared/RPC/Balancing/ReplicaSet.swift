import Logging
public import NIOCore
import Synchronization

/// The replicas of one service: finds them, knows which are ready, and lends one per call.
///
/// For applications that choose again after a failure that they classify themselves: they exclude the replica that
/// failed this very request, leave one alone that refuses, hold leases that outlive one RPC, let replicas drain, and list
/// them for status pages. A channel's balancing policy, which sees attempts alone, cannot do that; for everything else
/// an ``RPCChannel`` with a target is simpler.
///
/// Each endpoint has a channel of its own. ``run()`` keeps the list and the readiness; all else may be called from
/// any task.
public final class ReplicaSet: Sendable {
  /// Tells what the server of a channel says of itself, each time that it changes, until the connection ends; the
  /// task of ``ReplicaSet/run()`` calls it again after a wait.
  public typealias Watch =
    @Sendable (
      _ channel: RPCChannel, _ report: @Sendable (_ isServing: Bool) -> Void
    ) async throws(RPCError) -> Void

  /// Calls that may wait for a replica at a time.
  static let waitersMax = 10_000

  private struct Waiter {
    let id: UInt64
    let excluded: Set<ReplicaEpoch>
    let continuation: CheckedContinuation<Result<ReplicaLease, RPCError>, Never>
  }

  private struct Counts: Equatable {
    var ready = 0
    var all = 0
  }

  private struct State {
    var table = ReplicaTable()
    var channels: [ReplicaTable.ID: RPCChannel] = [:]
    /// How long a replica is left alone that refuses calls.
    var suspensions: [ReplicaTable.ID: Backoff] = [:]
    /// What each source told last.
    var lists: [[Endpoint]]
    /// Endpoints of the lists for which there was no place.
    var excess = 0
    var waiters: [Waiter] = []
    var nextWaiter: UInt64 = 0
    /// What `onChange` was told last.
    var told = Counts()
    var isClosed = false
  }

  let configuration: ReplicaSetConfiguration
  private let group: any EventLoopGroup
  private let watch: Watch
  private let onChange: @Sendable (_ ready: Int, _ all: Int) -> Void
  private let followers: [SourceFollower]
  private let state: Mutex<State>
  /// Tells ``run()`` that there is a place for endpoints in excess.
  private let places: (stream: AsyncStream<Void>, continuation: AsyncStream<Void>.Continuation)

  /// Describes a set; nothing is looked up before ``run()``.
  ///
  /// `onChange` is told how many replicas are ready, of how many, whenever that changes, one call after the other, on
  /// any thread; it must not block nor call the set.
  public init(
    _ configuration: ReplicaSetConfiguration,
    group: any EventLoopGroup,
    onChange: @escaping @Sendable (_ ready: Int, _ all: Int) -> Void = { _, _ in },
    watch: @escaping Watch
  ) {
    self.configuration = configuration
    self.group = group
    self.watch = watch
    self.onChange = onChange
    followers = configuration.sources.map { SourceFollower($0, configuration, group.next()) }
    state = Mutex(State(lists: configuration.sources.map { _ in [] }))
    places = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// All replicas, in the order in which they came.
  public var replicas: [ReplicaStatus] {
    state.withLock { $0.table.replicas }.map {
      ReplicaStatus(endpoint: $0.endpoint, state: $0.state, outstanding: $0.outstanding)
    }
  }

  // MARK: - The list

  /// Looks the endpoints up and watches the replicas until the task is cancelled.
  ///
  /// To be called once.
  public func run() async {
    await withDiscardingTaskGroup { group in
      for (index, follower) in followers.enumerated() {
        group.addTask { await self.follow(follower, index) }
      }
      group.addTask { await self.takeExcessIn() }
    }
  }

  private func follow(_ follower: SourceFollower, _ index: Int) async {
    await withDiscardingTaskGroup { group in
      await follower.run { endpoints in
        for (replica, channel) in publish(endpoints, from: index) {
          group.addTask { await self.watch(replica, channel) }
        }
      }
    }
  }

  /// Takes over what was left out when a replica goes that had only calls to finish.
  private func takeExcessIn() async {
    await withDiscardingTaskGroup { group in
      for await _ in places.stream {
        for (replica, channel) in update({ _ in }) {
          group.addTask { await self.watch(replica, channel) }
        }
      }
    }
  }

  /// Takes over what a source says; returns the replicas that are new.
  private func publish(
    _ endpoints: [Endpoint],
    from source: Int
  ) -> [(ReplicaTable.Replica, RPCChannel)] {
    let new = update { $0[source] = endpoints }
    let excess = state.withLock { $0.excess }
    if excess > 0 {
      configuration.logger.error(
        "too many replicas",
        metadata: ["left_out": "\(excess)", "most": "\(ReplicaTable.replicasMax)"]
      )
    }
    return new
  }

  /// Changes the lists and takes them over; returns the replicas that are new.
  private func update(
    _ body: (inout [[Endpoint]]) -> Void
  ) -> [(ReplicaTable.Replica, RPCChannel)] {
    change { state -> [(ReplicaTable.Replica, RPCChannel)] in
      guard !state.isClosed else { return [] }
      body(&state.lists)
      let (added, removed, excess) = state.table.update(state.lists.flatMap(\.self))
      state.excess = excess
      for id in removed { forget(id, &state) }
      return added.map { replica in
        let channel = RPCChannel(
          host: replica.endpoint.host,
          port: replica.endpoint.port,
          configuration: configuration.channel,
          group: group
        )
        state.channels[replica.id] = channel
        return (replica, channel)
      }
    }
  }

  private func forget(_ id: ReplicaTable.ID, _ state: inout State) {
    state.suspensions[id] = nil
    // Nobody waits for the end of its connection; dropped last, the channel would close as well.
    if let channel = state.channels.removeValue(forKey: id) { channel.closeSoon() }
  }

  // MARK: - Readiness

  private func watch(_ replica: ReplicaTable.Replica, _ channel: RPCChannel) async {
    var backoff = configuration.watchBackoff
    while !Task.isCancelled, isKnown(replica.id) {
      let hasServed = Mutex(false)
      var reason = "it ended the watch"
      do throws(RPCError) {
        try await watch(channel) { isServing in
          if isServing { hasServed.withLock { $0 = true } }
          self.note(replica, isServing: isServing, reason: "it says so")
        }
      } catch {
        reason = error.message
      }
      note(replica, isServing: false, reason: reason)
      if hasServed.withLock({ $0 }) { backoff.reset() }
      let delay = backoff.delay()
      try? await Task.sleep(for: .nanoseconds(delay.nanoseconds))
    }
  }

  private func isKnown(_ id: ReplicaTable.ID) -> Bool {
    state.withLock { $0.table[id] != nil && !$0.isClosed }
  }

  private func note(_ replica: ReplicaTable.Replica, isServing: Bool, reason: String) {
    let isChange = change { state in
      state.table.set(replica.id, serving: isServing)
    }
    guard isChange else { return }
    configuration.logger.info(
      isServing ? "replica ready" : "replica not ready",
      metadata: isServing
        ? ["replica": "\(replica.endpoint)"]
        : ["replica": "\(replica.endpoint)", "reason": "\(reason)"]
    )
    if !isServing { lookUpNow() }
  }

  /// Has every source asked again: a replica that fails may have been replaced.
  private func lookUpNow() {
    for follower in followers { follower.poke() }
  }

  /// Changes the state, tells of it, and serves calls that wait and now need not.
  private func change<Value>(_ body: (inout State) -> Value) -> Value {
    let (value, served) = state.withLock { state in
      let value = body(&state)
      let counts = Counts(ready: state.table.readyCount, all: state.table.replicas.count)
      if counts != state.told {
        state.told = counts
        onChange(counts.ready, counts.all)
      }
      return (value, serveWaiters(&state))
    }
    for (waiter, lease) in served { waiter.continuation.resume(returning: .success(lease)) }
    return value
  }

  // MARK: - Leases

  /// The ready replica with the fewest calls outstanding, none that `excluded` names.
  ///
  /// While there is none, waits for one: `time` at most, and not beyond the task's deadline.
  ///
  /// Throws UNAVAILABLE when the time is over, CANCELLED with the task.
  public func lease(
    excluding excluded: ReplicaExclusions = ReplicaExclusions(),
    waitingAtMost time: Duration
  ) async throws(RPCError) -> ReplicaLease {
    if let lease = leaseNow(excluding: excluded) { return lease }
    let left = min(time, Deadline.current?.remaining ?? time)
    guard left > .zero else { throw noneReady() }
    let id = state.withLock { state in
      state.nextWaiter += 1
      return state.nextWaiter
    }
    var timer: Scheduled<Void>?
    defer { timer?.cancel() }
    return try await withTaskCancellationHandler {
      await withCheckedContinuation {
        enqueue(Waiter(id: id, excluded: excluded.epochs, continuation: $0))
        // Only now: it must find the waiter.
        timer = group.next().scheduleTask(in: TimeAmount(left)) {
          self.giveUp(id, self.noneReady())
        }
      }
    } onCancel: {
      giveUp(id, RPCError(.cancelled, "the task that waits for a replica was cancelled"))
    }.get()
  }

  /// The same without a wait; nil if there is none.
  public func leaseNow(excluding excluded: ReplicaExclusions = ReplicaExclusions()) -> ReplicaLease?
  {
    state.withLock { pick(excluding: excluded.epochs, &$0) }
  }

  /// A lease of every ready replica.
  public func leaseAll() -> [ReplicaLease] {
    state.withLock { state in
      state.table.pickAll().compactMap { lease($0, state) }
    }
  }

  private func pick(excluding excluded: Set<ReplicaEpoch>, _ state: inout State) -> ReplicaLease? {
    guard !state.isClosed else { return nil }
    return state.table.pick(excluding: excluded).flatMap { lease($0, state) }
  }

  private func lease(_ call: ReplicaEpoch, _ state: State) -> ReplicaLease? {
    guard let replica = state.table[call.id], let channel = state.channels[call.id] else {
      return nil
    }
    return ReplicaLease(self, call, replica.endpoint, channel)
  }

  private func serveWaiters(_ state: inout State) -> [(Waiter, ReplicaLease)] {
    guard !state.waiters.isEmpty else { return [] }
    var served: [(Waiter, ReplicaLease)] = []
    var waiting: [Waiter] = []
    for waiter in state.waiters {
      if let lease = pick(excluding: waiter.excluded, &state) {
        served.append((waiter, lease))
      } else {
        waiting.append(waiter)
      }
    }
    state.waiters = waiting
    return served
  }

  private func enqueue(_ waiter: Waiter) {
    let result = state.withLock { state -> Result<ReplicaLease, RPCError>? in
      // The cancellation handler has run already if the task was cancelled before.
      if Task.isCancelled { return .failure(RPCError(.cancelled, "the task was cancelled")) }
      if state.isClosed { return .failure(Self.closed) }
      if let lease = pick(excluding: waiter.excluded, &state) { return .success(lease) }
      guard state.waiters.count < Self.waitersMax else {
        return .failure(
          RPCError(.resourceExhausted, "\(state.waiters.count) calls wait for a replica already")
        )
      }
      state.waiters.append(waiter)
      return nil
    }
    if let result { waiter.continuation.resume(returning: result) }
  }

  private func giveUp(_ id: UInt64, _ error: RPCError) {
    let waiter = state.withLock { state in
      state.waiters.firstIndex { $0.id == id }.map { state.waiters.remove(at: $0) }
    }
    waiter?.continuation.resume(returning: .failure(error))
  }

  private func noneReady() -> RPCError {
    let (ready, all) = state.withLock { ($0.table.readyCount, $0.table.replicas.count) }
    return RPCError(.unavailable, "no replica takes the call: \(ready) of \(all) are ready")
  }

  fileprivate func release(_ call: ReplicaEpoch, _ outcome: ReplicaLease.Outcome) {
    let delay = change { state -> TimeAmount? in
      var delay: TimeAmount?
      switch outcome {
      case .answered: state.suspensions[call.id] = nil
      case .abandoned: break
      case .unavailable:
        guard state.table.suspend(call) else { break }
        delay = state.suspensions[call.id, default: configuration.suspension].delay()
      }
      if state.table.release(call.id) {
        forget(call.id, &state)
        if state.excess > 0 { places.continuation.yield() }
      }
      return delay
    }
    guard let delay else { return }
    lookUpNow()
    group.next().scheduleTask(in: delay) { [weak self] in
      self?.change { state in state.table.resume(call) }
    }
  }

  // MARK: - The end

  private static let closed = RPCError(.cancelled, "the set of replicas is closed")

  /// Ends every call with CANCELLED and closes the channels; nothing is lent any more.
  public func close() async {
    let (waiters, channels) = state.withLock { state in
      defer { (state.waiters, state.channels) = ([], [:]) }
      state.isClosed = true
      return (state.waiters, state.channels.values)
    }
    places.continuation.finish()
    for waiter in waiters { waiter.continuation.resume(returning: .failure(Self.closed)) }
    for channel in channels { await channel.close() }
  }
}

/// A replica that is lent for one call.
///
/// Counts as outstanding until it is released or dropped; the first release counts.
public final class ReplicaLease: Sendable {
  /// How the call ended.
  public enum Outcome: Sendable {
    /// The replica answered, be it with an error of its own.
    case answered
    /// Nothing is known of the replica: the caller gave up.
    case abandoned
    /// The replica refused the call or was lost; it is left alone for a moment.
    case unavailable
  }

  /// Where the replica is.
  public let endpoint: Endpoint
  /// The connection to it.
  public let channel: RPCChannel
  let call: ReplicaEpoch
  private let set: ReplicaSet
  private let isHeld = Atomic(true)

  fileprivate init(
    _ set: ReplicaSet,
    _ call: ReplicaEpoch,
    _ endpoint: Endpoint,
    _ channel: RPCChannel
  ) {
    (self.set, self.call, self.endpoint, self.channel) = (set, call, endpoint, channel)
  }

  deinit { release(.abandoned) }

  /// Gives the replica back.
  public func release(_ outcome: Outcome) {
    guard isHeld.exchange(false, ordering: .acquiringAndReleasing) else { return }
    set.release(call, outcome)
  }
}

/// Replicas that have failed a call, each until it is ready anew.
public struct ReplicaExclusions: Sendable {
  private(set) var epochs: Set<ReplicaEpoch> = []

  /// Excludes none.
  public init() {}

  /// Excludes the replica that was lent.
  public mutating func insert(_ lease: ReplicaLease) { epochs.insert(lease.call) }
}

/// What there is to know of one replica.
public struct ReplicaStatus: Sendable, Hashable {
  /// Where it is.
  public let endpoint: Endpoint
  /// Whether it takes calls.
  public let state: ReplicaState
  /// Calls that it has not answered.
  public let outstanding: Int
}
