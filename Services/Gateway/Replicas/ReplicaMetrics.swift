import RPC
import ServiceKit

/// The metrics of a set of replicas; a label per replica, of which there are a bounded number.
struct ReplicaMetrics: Sendable {
  /// Why a call was made again.
  enum RetryReason: String, Sendable, CaseIterable {
    /// The replica was lost, drains or refused the call.
    case unavailable
    /// The replica had no room.
    case exhausted
  }

  private let retries: [RetryReason: Counter]

  init(_ registry: MetricsRegistry, service: String, of replicas: ReplicaSet) {
    registry.gauge(
      "llmos_replicas",
      help: "Replicas by state: ready, unready, or draining (only finishes its calls).",
      labels: ["service", "state"]
    ) { [weak replicas] in
      let all = replicas?.replicas ?? []
      return ReplicaState.allCases.map { state in
        ([service, state.rawValue], Double(all.count { $0.state == state }))
      }
    }
    registry.gauge(
      "llmos_replica_ready",
      help: "Whether a replica takes calls.",
      labels: ["service", "replica"]
    ) { [weak replicas] in
      (replicas?.replicas ?? []).map {
        ([service, "\($0.endpoint)"], $0.state == .ready ? 1 : 0)
      }
    }
    registry.gauge(
      "llmos_replica_outstanding_calls",
      help: "Calls that a replica has not answered.",
      labels: ["service", "replica"]
    ) { [weak replicas] in
      (replicas?.replicas ?? []).map { ([service, "\($0.endpoint)"], Double($0.outstanding)) }
    }
    let family = registry.counter(
      "llmos_replica_retries_total",
      help: "Calls made again on another replica.",
      labels: ["service", "reason"]
    )
    retries = Dictionary(
      uniqueKeysWithValues: RetryReason.allCases.map { ($0, family[service, $0.rawValue]) }
    )
  }

  /// Counts a call that is made again.
  func retried(_ reason: RetryReason) { retries[reason]?.add() }
}
