import NIOCore

/// When a server's connection ends because of its age or for want of calls (gRFC A9).
///
/// A state machine without timers: the owner tells when calls begin and end, and asks `check` at
/// `nextCheck` or later. Idleness costs a call one assignment, not a timer.
struct ConnectionLifetime {
  /// The bounds; nil for none.
  struct Limits: Sendable {
    /// The age at which the connection drains, before jitter.
    var age: TimeAmount?
    /// The time that calls then have before they are cancelled.
    var ageGrace: TimeAmount?
    /// The time without a call after which the connection drains.
    var idle: TimeAmount?
  }

  /// What the owner has to do.
  enum Action: Equatable {
    /// Announce the end and let calls finish.
    case drain(reason: String)
    /// End what still runs.
    case cancel(reason: String)
  }

  private enum State {
    /// To `draining` by age, to `over` by idleness.
    case open
    /// The age was reached; to `over` when the grace is.
    case draining(cancelAt: NIODeadline)
    /// Nothing more to decide. Final.
    case over
  }

  /// The share of the age by which connections differ, so that those made together do not end
  /// together.
  static let jitter = 0.1
  /// The least time between two checks for idleness while calls run.
  private static let leastIdle = TimeAmount.milliseconds(1)

  private let limits: Limits
  private let ageAt: NIODeadline?
  /// When the last call ended; nil while calls run.
  private var idleSince: NIODeadline?
  private var state = State.open

  /// Starts the life of a connection; `jitter` is in -1...1.
  init(_ limits: Limits, at now: NIODeadline, jitter: Double) {
    self.limits = limits
    ageAt = limits.age.map { age in
      let nanoseconds = Double(age.nanoseconds) * (1 + Self.jitter * jitter)
      return now + .nanoseconds(Int64(nanoseconds))
    }
    idleSince = now
  }

  /// A call began.
  mutating func callBegan() {
    idleSince = nil
  }

  /// The last call that ran has ended.
  mutating func becameIdle(at now: NIODeadline) {
    idleSince = now
  }

  /// When to check next; nil when there is nothing to wait for.
  ///
  /// While calls run it is the time at which the connection could be idle for long enough if they
  /// ended at once.
  func nextCheck(after now: NIODeadline) -> NIODeadline? {
    switch state {
    case .open:
      let idleAt = limits.idle.map { idle in
        idleSince.map { $0 + idle } ?? now + max(idle, Self.leastIdle)
      }
      return [ageAt, idleAt].compactMap { $0 }.min()
    case .draining(let cancelAt): return cancelAt
    case .over: return nil
    }
  }

  /// What is due `now`.
  mutating func check(at now: NIODeadline) -> Action? {
    switch state {
    case .open:
      if let ageAt, ageAt <= now {
        state = limits.ageGrace.map { .draining(cancelAt: now + $0) } ?? .over
        return .drain(reason: "the connection reached its maximum age")
      }
      guard let idle = limits.idle, let idleSince, idleSince + idle <= now else { return nil }
      state = .over
      return .drain(reason: "the connection was idle")
    case .draining(let cancelAt):
      guard cancelAt <= now else { return nil }
      state = .over
      return .cancel(reason: "the connection is above its maximum age")
    case .over: return nil
    }
  }
}
