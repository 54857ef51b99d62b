import Synchronization

/// Counts the objects of some kinds that were made and that are alive.
///
/// Tests hand one to the configurations; the counted objects hold an entry each. Thread-safe.
final class Census: Sendable {
  /// What is counted.
  enum Kind: Hashable, Sendable, CaseIterable {
    case clientCall, clientAttempt, clientConnection, serverCall, serverConnection
  }

  struct Count: Equatable {
    var made = 0
    var alive = 0
  }

  /// Counts for as long as it lives.
  final class Entry: Sendable {
    private let census: Census
    private let kind: Kind

    fileprivate init(_ census: Census, _ kind: Kind) {
      self.census = census
      self.kind = kind
    }

    deinit { census.counts.withLock { $0[kind, default: Count()].alive -= 1 } }
  }

  private let counts = Mutex<[Kind: Count]>([:])

  subscript(kind: Kind) -> Count { counts.withLock { $0[kind, default: Count()] } }

  /// Counts one more until the entry goes.
  func enter(_ kind: Kind) -> Entry {
    counts.withLock { counts in
      counts[kind, default: Count()].made += 1
      counts[kind, default: Count()].alive += 1
    }
    return Entry(self, kind)
  }
}
