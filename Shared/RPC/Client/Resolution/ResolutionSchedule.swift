import NIOCore

/// When a name is looked up again: on an interval, when connections fail, but never twice within a
/// gap, and after a failure with a back-off.
///
/// A state machine without a clock.
struct ResolutionSchedule {
  private let gap: TimeAmount
  private let interval: TimeAmount?
  private var backoff: Backoff
  private var isRunning = false
  private var lastBegin: NIODeadline?
  /// When the next look is due; nil while one runs, or when nothing asks for one.
  private(set) var due: NIODeadline?

  init(gap: Duration, interval: Duration?) {
    self.gap = TimeAmount(gap)
    self.interval = interval.map { TimeAmount(max($0, gap)) }
    backoff = Backoff(initial: gap, max: max(gap, .seconds(30)))
  }

  /// Somebody wants to know.
  ///
  /// Without effect while a look runs: it will tell.
  mutating func asked(at now: NIODeadline) {
    guard !isRunning else { return }
    let earliest = lastBegin.map { max(now, $0 + gap) } ?? now
    due = min(due ?? earliest, earliest)
  }

  /// A look begins.
  mutating func began(at now: NIODeadline) {
    isRunning = true
    lastBegin = now
    due = nil
  }

  /// It ended.
  mutating func ended(at now: NIODeadline, isSuccess: Bool, _ random: RandomSource) {
    isRunning = false
    if isSuccess {
      backoff.reset()
      due = interval.map { now + $0 }
    } else {
      due = now + backoff.delay(random)
    }
  }
}
