import Logging
import NIOCore

/// What a channel consists of: its endpoints and the attempts that wait for one.
///
/// Everything of a channel happens on one event loop: what the resolver tells, what the policy
/// picks, the connections and the calls.
///
/// `@unchecked Sendable`: the variables are used on `eventLoop` alone.
final class ChannelCore: @unchecked Sendable {
  /// The `:authority` of every call.
  let target: String
  /// The name to check certificates against.
  let serverName: String
  let configuration: ChannelConfiguration
  let encodings = ServerEncodings()
  let eventLoop: any EventLoop
  /// How methods are called.
  let methodConfigs: MethodConfigTable
  /// Whether calls that failed may be made again; nil: always.
  var retryThrottle: RetryThrottle?
  private var subchannels: [Int: Subchannel] = [:]
  private let endpoint: Endpoint
  private var isClosed = false
  private var waiting = CircularBuffer<ClientAttempt>()
  /// Attempts that wait here and in the subchannels.
  private var queuedCount = 0
  private var closeWaiters: [EventLoopPromise<Void>] = []

  init(host: String, port: Int, configuration: ChannelConfiguration, eventLoop: any EventLoop) {
    endpoint = Endpoint(host: host, port: port)
    serverName = host
    self.configuration = configuration
    self.eventLoop = eventLoop
    target = "\(host):\(port)"
    methodConfigs = MethodConfigTable(configuration.serviceConfig)
    retryThrottle = configuration.serviceConfig.retryThrottling.map(RetryThrottle.init)
  }

  /// Begins to connect.
  func start() {
    eventLoop.assertInEventLoop()
    guard !isClosed else { return }
    let subchannel = Subchannel(id: 0, endpoint: endpoint, core: self)
    subchannels[0] = subchannel
    subchannel.connect()
  }

  /// The most connections of one endpoint.
  var maxConnectionsPerEndpoint: Int { configuration.maxConnectionsPerEndpoint }

  // MARK: Attempts

  /// Gives the attempt to an endpoint, or lets it wait, or fails it.
  func admit(_ attempt: ClientAttempt) {
    eventLoop.assertInEventLoop()
    guard !isClosed else { return attempt.call.fail(closed) }
    guard let subchannel = subchannels[0] else { return enqueue(attempt) }
    switch subchannel.state {
    case .ready:
      attempt.assign(to: subchannel)
      subchannel.take(attempt)
    case .transientFailure where !attempt.call.waitsForConnection: attempt.fail(noConnection())
    case .idle:
      enqueue(attempt)
      subchannel.connect()
    case .connecting, .transientFailure, .shutdown: enqueue(attempt)
    }
  }

  private func enqueue(_ attempt: ClientAttempt) {
    guard mayQueue(attempt) else { return }
    attempt.assign(to: nil)
    waiting.append(attempt)
  }

  /// Counts an attempt that is about to wait; fails its call, and returns false, above the bound.
  func mayQueue(_ attempt: ClientAttempt) -> Bool {
    if queuedCount >= configuration.maxQueuedCalls { purge() }
    guard queuedCount < configuration.maxQueuedCalls else {
      attempt.call.fail(
        RPCError(.resourceExhausted, "\(queuedCount) calls wait for \(target) already")
      )
      return false
    }
    queuedCount += 1
    return true
  }

  /// Attempts that waited do so no longer.
  func dequeued(_ count: Int) {
    queuedCount -= count
  }

  private func purge() {
    let before = waiting.count
    waiting = CircularBuffer(waiting.filter { !$0.isOver })
    queuedCount -= before - waiting.count
    for subchannel in subchannels.values { queuedCount -= subchannel.purge() }
  }

  /// Has every attempt that waits looked at again.
  private func admitWaiting() {
    guard !waiting.isEmpty else { return }
    let attempts = waiting
    waiting = CircularBuffer()
    queuedCount -= attempts.count
    for attempt in attempts where !attempt.isOver { admit(attempt) }
  }

  func noConnection() -> RPCError {
    let reason = subchannels.values.first?.lastFailure ?? "not connected yet"
    return RPCError(.unavailable, "no connection to \(target): \(reason)")
  }

  // MARK: Subchannels

  func subchannelChanged(_ subchannel: Subchannel) {
    guard !isClosed else { return }
    if subchannel.state == .idle { return subchannel.connect() }
    admitWaiting()
  }

  /// The last connection of a closed subchannel is gone.
  func subchannelGone(_ subchannel: Subchannel) {
    subchannels[subchannel.id] = nil
    finishClosing()
  }

  // MARK: The end

  private var closed: RPCError { RPCError(.cancelled, "the channel to \(target) is closed") }

  /// Fails what waits and runs, and closes every connection; the promise is kept when that is done.
  func close(_ promise: EventLoopPromise<Void>?) {
    eventLoop.assertInEventLoop()
    isClosed = true
    if let promise { closeWaiters.append(promise) }
    let attempts = waiting
    waiting = CircularBuffer()
    queuedCount -= attempts.count
    for attempt in attempts { attempt.call.fail(closed) }
    for subchannel in Array(subchannels.values) {
      subchannel.close(closed)
      if subchannel.isGone { subchannels[subchannel.id] = nil }
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
