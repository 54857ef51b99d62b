/// How long a service that is talked to has been away: from the first failure since it was last there.
package struct ServiceOutage: Sendable {
  /// How long it may be away, which a restart is not.
  package static let patience: Duration = .seconds(60)
  /// A connection that lasted this long was one: trying to connect does not take as long.
  package static let settledAfter: Duration = .seconds(20)

  private var start: ContinuousClock.Instant?

  /// Nothing has failed yet.
  package init() {}

  /// The service was there.
  package mutating func end() { start = nil }

  /// Notes a failure.
  ///
  /// - Parameters:
  ///   - now: when.
  ///   - attempt: when the attempt that failed began.
  /// - Returns: whether the service is still worth waiting for.
  package mutating func isBearable(
    at now: ContinuousClock.Instant,
    after attempt: ContinuousClock.Instant
  ) -> Bool {
    if attempt.duration(to: now) >= Self.settledAfter { start = nil }
    let start = start ?? now
    self.start = start
    return start.duration(to: now) < Self.patience
  }
}
