import Synchronization

/// The bytes that all calls of one connection hold, against a bound.
///
/// What holds bytes adds them, also above the bound: whoever let them in ends that call then.
final class ByteBudget: Sendable {
  private let limit: Int
  /// What the budgets of all connections are part of.
  private let shared: SharedByteBudget?
  private let used = Atomic<Int>(0)
  /// What `shared` knows of.
  private let published = Atomic<Int>(0)
  /// The change from which on `shared` is told: most calls come and go without it, and loops do not
  /// fight for one number.
  static let grainBytes = 16 * 1024
  /// Bounds the attempts to tell it while others do; the next change tries again.
  private static let attemptsMax = 100

  init(limit: Int, shared: SharedByteBudget? = nil) {
    self.limit = limit
    self.shared = shared
  }

  /// The bytes held now.
  var usedBytes: Int { used.load(ordering: .relaxed) }

  /// Whether more is held than the bound allows.
  var isExceeded: Bool {
    usedBytes > limit || shared?.isExceeded(byMemberWith: usedBytes) == true
  }

  /// Notes bytes that are held from now on; negative: that are let go.
  func add(_ bytes: Int) {
    used.wrappingAdd(bytes, ordering: .sequentiallyConsistent)
    if let shared { publish(to: shared) }
  }

  /// Tells `shared` of a change that is worth it, and looks again: another thread may have changed
  /// the number meanwhile and have found nothing to tell.
  private func publish(to shared: SharedByteBudget) {
    for _ in 0..<Self.attemptsMax {
      let before = published.load(ordering: .sequentiallyConsistent)
      let now = used.load(ordering: .sequentiallyConsistent)
      guard now == 0 ? before != 0 : abs(now - before) >= Self.grainBytes else { return }
      let (exchanged, _) = published.compareExchange(
        expected: before,
        desired: now,
        ordering: .sequentiallyConsistent
      )
      if exchanged { shared.add(now - before) }
    }
  }
}
