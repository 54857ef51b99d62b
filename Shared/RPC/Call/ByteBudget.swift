import Synchronization

/// The bytes that all calls of one connection hold, against a bound.
///
/// What holds bytes adds them, also above the bound: whoever let them in ends that call then.
final class ByteBudget: Sendable {
  private let limit: Int
  private let used = Atomic<Int>(0)

  init(limit: Int) {
    self.limit = limit
  }

  /// The bytes held now.
  var usedBytes: Int { used.load(ordering: .relaxed) }

  /// Whether more is held than the bound allows.
  var isExceeded: Bool { usedBytes > limit }

  /// Notes bytes that are held from now on; negative: that are let go.
  func add(_ bytes: Int) {
    used.wrappingAdd(bytes, ordering: .relaxed)
  }
}
