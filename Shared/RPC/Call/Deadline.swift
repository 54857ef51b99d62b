import NIOCore

/// A point in monotonic time at which a call is given up.
///
/// `Deadline.current` is a task local that holds the deadline of the call being handled: outgoing
/// calls made in a handler inherit it, or keep their own when that is earlier.
public struct Deadline: Sendable, Comparable, Hashable {
  /// The deadline of the call that this task handles.
  @TaskLocal public static var current: Deadline?

  /// The point in time, on NIO's clock.
  let instant: NIODeadline

  init(instant: NIODeadline) {
    self.instant = instant
  }

  /// The point that lies `duration` after now; a negative duration is one that has passed.
  public static func after(_ duration: Duration) -> Deadline {
    Deadline(instant: .now() + TimeAmount.nanoseconds(duration.clampedNanoseconds))
  }

  /// The point that lies `duration` after a loop's now: its clock need not be the system's.
  static func after(_ duration: Duration, on eventLoop: any EventLoop) -> Deadline {
    Deadline(instant: eventLoop.now + TimeAmount.nanoseconds(duration.clampedNanoseconds))
  }

  /// The time left on the loop's clock.
  func remaining(on eventLoop: any EventLoop) -> Duration {
    .nanoseconds((instant - eventLoop.now).nanoseconds)
  }

  /// Whether the point has passed on the loop's clock.
  func hasPassed(on eventLoop: any EventLoop) -> Bool { instant <= eventLoop.now }

  /// The time left; zero or negative once it has passed.
  public var remaining: Duration {
    .nanoseconds((instant - .now()).nanoseconds)
  }

  /// Whether the point has passed.
  public var hasPassed: Bool { instant <= .now() }

  /// Whether the left deadline comes first.
  public static func < (lhs: Deadline, rhs: Deadline) -> Bool { lhs.instant < rhs.instant }
}

extension Duration {
  /// The whole nanoseconds, held within a hundred years so that sums with a clock do not overflow.
  var clampedNanoseconds: Int64 {
    let bound: Int64 = 100 * 365 * 86_400
    // Before the components, which trap where the seconds are no Int64.
    if self >= .seconds(bound) { return bound * 1_000_000_000 }
    if self <= .seconds(-bound) { return -bound * 1_000_000_000 }
    let (seconds, attoseconds) = components
    return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
  }
}

extension TimeAmount {
  /// The same span of time in NIO's type.
  init(_ duration: Duration) {
    self = .nanoseconds(duration.clampedNanoseconds)
  }
}
