import Synchronization

/// Keeps `CallLimits`: which calls may begin.
///
/// May be used from any loop; the decision itself is `State`'s.
final class CallLimiter: Sendable {
  /// The metadata that tells a client when to try again (gRFC A6).
  static let pushbackName = "grpc-retry-pushback-ms"

  private let limits: CallLimits
  private let state: Mutex<State>

  /// Nil when there is nothing to bound.
  init?(_ limits: CallLimits) {
    guard !limits.isEmpty else { return nil }
    self.limits = limits
    state = Mutex(State(limits))
  }

  /// Counts a call in, or throws RESOURCE_EXHAUSTED; `now` in nanoseconds of a monotonic clock.
  ///
  /// Returns nil for a call that is not counted.
  func admit(
    _ method: MethodDescriptor,
    peer: String,
    at now: UInt64
  ) throws(RPCError) -> CallPermit? {
    guard !limits.exemptServices.contains(method.service) else { return nil }
    let refusal = state.withLock { $0.admit(method.path, peer: peer, at: now) }
    guard let refusal else { return CallPermit(limiter: self, path: method.path) }
    var metadata = Metadata()
    metadata.add(String(refusal.pushbackMilliseconds), for: Self.pushbackName)
    throw RPCError(.resourceExhausted, refusal.reason, metadata: metadata)
  }

  fileprivate func release(_ path: String) {
    state.withLock { $0.release(path) }
  }

  /// Calls counted in at the moment.
  var running: Int { state.withLock { $0.running } }

  /// Why a call may not begin, and when to try again.
  struct Refusal: Equatable {
    let reason: String
    let pushbackMilliseconds: UInt64
  }

  /// The decisions, without locks and clocks.
  struct State {
    private let limits: CallLimits
    private(set) var running = 0
    private var runningOfMethods: [String: Int] = [:]
    private var rate: TokenBucket?
    private var peers: PeerRates?

    init(_ limits: CallLimits) {
      self.limits = limits
      rate = limits.rate.map { TokenBucket((Double($0.burst), $0.perSecond)) }
      peers = limits.ratePerPeer.map { PeerRates($0, peersMax: limits.peersMax) }
    }

    /// Counts a call in, or says why not.
    ///
    /// What costs no token is asked first, and each client before the whole server: a client that
    /// asks too often takes nothing from the others.
    mutating func admit(_ path: String, peer: String, at now: UInt64) -> Refusal? {
      if let most = limits.concurrentCalls, running >= most {
        return busy("the server has \(most) calls at once already")
      }
      if let most = limits.concurrentCallsOfMethods[path],
        runningOfMethods[path, default: 0] >= most
      {
        return busy("\(path) has \(most) calls at once already")
      }
      if let delay = peers?.take(peer, at: now) {
        return Self.tooFast("the client begins too many calls per second", delay)
      }
      if rate?.take(at: now) == false {
        return Self.tooFast("too many calls per second", rate?.delay ?? 0)
      }
      running += 1
      if limits.concurrentCallsOfMethods[path] != nil { runningOfMethods[path, default: 0] += 1 }
      return nil
    }

    mutating func release(_ path: String) {
      running -= 1
      if limits.concurrentCallsOfMethods[path] != nil { runningOfMethods[path, default: 0] -= 1 }
    }

    private func busy(_ reason: String) -> Refusal {
      let nanoseconds = max(0, limits.pushback.clampedNanoseconds)
      return Refusal(reason: reason, pushbackMilliseconds: UInt64(nanoseconds / 1_000_000))
    }

    private static func tooFast(_ reason: String, _ delay: UInt64) -> Refusal {
      Refusal(reason: reason, pushbackMilliseconds: delay / 1_000_000 + 1)
    }
  }
}

/// One call that was counted in; `release` once, when the call and its handler are over.
struct CallPermit: Sendable {
  fileprivate let limiter: CallLimiter
  fileprivate let path: String

  func release() {
    limiter.release(path)
  }
}

/// A token bucket for each client, of which a bounded number is kept.
struct PeerRates {
  /// The least time between two searches for clients to forget, in nanoseconds.
  private static let sweepInterval: UInt64 = 1_000_000_000

  private let rate: (burst: Double, perSecond: Double)
  private let peersMax: Int
  private var buckets: [String: TokenBucket] = [:]
  /// What newcomers share while there is no room.
  private var overflow: TokenBucket
  private var lastSweep: UInt64?

  init(_ rate: CallRate, peersMax: Int) {
    self.rate = (Double(rate.burst), rate.perSecond)
    self.peersMax = peersMax
    overflow = TokenBucket(self.rate)
  }

  /// Clients that are kept.
  var count: Int { buckets.count }

  /// Takes a token of the client; if it has none, returns the nanoseconds until it has.
  mutating func take(_ peer: String, at now: UInt64) -> UInt64? {
    if buckets[peer] == nil {
      if buckets.count >= peersMax { sweep(at: now) }
      guard buckets.count < peersMax else { return overflow.take(at: now) ? nil : overflow.delay }
    }
    return buckets[peer, default: TokenBucket(rate)].takeOrWait(at: now)
  }

  /// Forgets clients whose bucket is full again: a new one would be the same.
  private mutating func sweep(at now: UInt64) {
    if let lastSweep, now < lastSweep &+ Self.sweepInterval { return }
    lastSweep = now
    buckets = buckets.filter { !$0.value.isFull(at: now) }
  }
}

extension TokenBucket {
  /// Takes one token; if there is none, returns the nanoseconds until there is.
  fileprivate mutating func takeOrWait(at now: UInt64) -> UInt64? {
    take(at: now) ? nil : delay
  }
}
