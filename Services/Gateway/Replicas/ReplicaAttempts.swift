import RPC
import ServiceKit
import Synchronization

/// The attempts of one call: which replicas it was made on, and whether it may be made again.
struct ReplicaAttempts {
  /// Most replicas that one call is made on, one after the other.
  static let attemptsMax = 4
  /// Most replicas that may be lost while they run one call: it may be what ends them.
  static let lossesMax = 2

  private let replicas: ReplicaSet
  private let metrics: ReplicaMetrics
  private let budget: RetryBudget
  private var excluded = ReplicaExclusions()
  private var count = 0
  private var losses = 0
  /// The time left to wait for replicas to be ready.
  private var patience: Duration
  /// That a replica has no room: others are asked, but not waited for.
  private var refusal: RPCError?
  private var lastFailure: ReplicaMetrics.RetryReason?

  init(_ owner: InferenceReplicas) {
    replicas = owner.replicas
    metrics = owner.metrics
    budget = owner.budget
    patience = owner.readyTimeout
  }

  /// The replica for the next attempt.
  ///
  /// Throws UNAVAILABLE if none is ready in time, and what the last one answered if all have no room.
  mutating func begin() async throws(RPCError) -> ReplicaLease {
    let lease: ReplicaLease
    if let refusal {
      guard let other = replicas.leaseNow(excluding: excluded) else { throw refusal }
      lease = other
    } else {
      let start = ContinuousClock.now
      defer { patience -= ContinuousClock.now - start }
      lease = try await replicas.lease(excluding: excluded, waitingAtMost: max(.zero, patience))
    }
    if let lastFailure { metrics.retried(lastFailure) }
    count += 1
    return lease
  }

  /// Takes note that an attempt failed; returns whether there may be another.
  mutating func failed(_ lease: ReplicaLease, _ error: RPCError) -> Bool {
    lease.release(Self.outcome(of: error))
    excluded.insert(lease)
    switch error.code {
    case .unavailable:
      lastFailure = .unavailable
      if error.isConnectionLoss { losses += 1 }
      guard losses < Self.lossesMax else { return false }
    case .resourceExhausted where error.reason != .storageFull:
      guard budget.take() else { return false }
      lastFailure = .exhausted
      refusal = error
    default: return false
    }
    return count < Self.attemptsMax && !Task.isCancelled && Deadline.current?.hasPassed != true
  }

  /// What an error says of the replica that answered it.
  static func outcome(of error: RPCError) -> ReplicaLease.Outcome {
    switch error.code {
    case .unavailable: .unavailable
    case .cancelled, .deadlineExceeded: .abandoned
    default: .answered
    }
  }
}

/// How many calls may be made again because a replica had no room: when all are full, asking each of them would
/// multiply the load (gRPC's retry throttling, gRFC A6).
final class RetryBudget: Sendable {
  /// Calls that may be made again at once.
  static let most = 100.0
  /// What each call that is answered gives back.
  static let share = 0.1

  private let tokens = Mutex(most)

  /// Takes one; false when there is none left.
  func take() -> Bool {
    tokens.withLock { tokens in
      guard tokens >= 1 else { return false }
      tokens -= 1
      return true
    }
  }

  /// A call was answered.
  func refill() { tokens.withLock { $0 = min(Self.most, $0 + Self.share) } }
}
