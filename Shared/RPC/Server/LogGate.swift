import Synchronization

/// Lets a few log lines of a kind pass and counts the rest: what a hostile client provokes must not
/// fill a disk.
final class LogGate: Sendable {
  private struct State {
    var bucket: TokenBucket
    var suppressed = 0
  }

  private let state: Mutex<State>

  /// Lets `burst` lines pass at once and `perSecond` in the long run.
  init(burst: Double = 10, perSecond: Double = 0.2) {
    state = Mutex(State(bucket: TokenBucket((burst, perSecond))))
  }

  /// Whether a line may be written `now` (nanoseconds of a monotonic clock): the number of lines
  /// that were left out before it, or nil when it is to be left out.
  func pass(at now: UInt64) -> Int? {
    state.withLock { state in
      guard state.bucket.take(at: now) else {
        state.suppressed += 1
        return nil
      }
      defer { state.suppressed = 0 }
      return state.suppressed
    }
  }
}
