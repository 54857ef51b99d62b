/// How long a service that ended waits before it is started again: exponential back-off, forgotten after a
/// time of good service.
package struct RestartPolicy: Sendable {
  /// The first wait.
  package static let initialDelay: Duration = .milliseconds(100)
  /// The longest wait.
  package static let maximumDelay: Duration = .seconds(10)
  /// A service that ran this long begins again with the first wait.
  package static let forgivenAfter: Duration = .seconds(30)

  private var nextDelay = RestartPolicy.initialDelay

  /// A policy that has seen no failure.
  package init() {}

  /// The wait before the next start of a service that ended after `uptime`.
  package mutating func delay(afterUptime uptime: Duration) -> Duration {
    if uptime >= Self.forgivenAfter { nextDelay = Self.initialDelay }
    defer { nextDelay = min(nextDelay * 2, Self.maximumDelay) }
    return nextDelay
  }
}
