import Synchronization

/// The bytes that all connections of a server hold together, against a bound.
///
/// While the bound is passed, only members that hold more than their equal share are over it: a
/// few that hold much do not end the calls of the many that hold little.
final class SharedByteBudget: Sendable {
  private let limit: Int
  private let used = Atomic<Int>(0)
  private let members = Atomic<Int>(0)

  init(limit: Int) {
    self.limit = limit
  }

  /// The bytes held now.
  var usedBytes: Int { used.load(ordering: .relaxed) }

  /// Notes one member more or less.
  func membersChanged(by change: Int) {
    members.wrappingAdd(change, ordering: .relaxed)
  }

  /// Notes bytes that are held from now on; negative: that are let go.
  func add(_ bytes: Int) {
    used.wrappingAdd(bytes, ordering: .relaxed)
  }

  /// Whether a member that holds that many bytes must not hold more.
  func isExceeded(byMemberWith bytes: Int) -> Bool {
    usedBytes > limit && bytes > limit / max(1, members.load(ordering: .relaxed))
  }
}
