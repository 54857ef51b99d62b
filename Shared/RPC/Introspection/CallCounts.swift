import NIOCore
import Synchronization

/// How many calls, or streams of one connection, began and how they ended; changed on one loop.
public struct CallCounts: Sendable, Hashable {
  /// Those that began.
  public private(set) var started = 0
  /// Those that ended with OK.
  public private(set) var succeeded = 0
  /// Those that ended otherwise.
  public private(set) var failed = 0

  private var lastStart: NIODeadline?

  /// The time since the last one began; nil before the first.
  public var sinceLastStart: Duration? {
    lastStart.map { .nanoseconds(max(0, (.now() - $0).nanoseconds)) }
  }

  mutating func began(at now: NIODeadline) {
    started += 1
    lastStart = now
  }

  mutating func ended(isSuccess: Bool) {
    if isSuccess { succeeded += 1 } else { failed += 1 }
  }

  mutating func add(_ other: CallCounts) {
    started += other.started
    succeeded += other.succeeded
    failed += other.failed
    if let start = other.lastStart { lastStart = max(lastStart ?? start, start) }
  }
}

/// How many messages passed a connection; changed on its loop.
public struct MessageCounts: Sendable, Hashable {
  /// Those that were handed to the connection.
  public internal(set) var sent = 0
  /// Those that came whole.
  public internal(set) var received = 0
}

/// Numbers from 1 that no two servers, channels, endpoints and connections of the process share.
enum EntityID {
  private static let last = Atomic<Int>(0)

  static func next() -> Int { last.wrappingAdd(1, ordering: .relaxed).newValue }
}
