#if canImport(Musl)
import Musl
#else
import Glibc
#endif

/// A value behind a lock, with a condition that a thread can wait for.
///
/// `Synchronization.Mutex` has no condition variable; this is a POSIX mutex and condition. `wait` blocks and
/// is for threads outside the cooperative pool only; `withLock` bodies are short and never block.
///
/// `@unchecked Sendable`: `state` is touched only while the mutex is held.
package final class Monitor<State: Sendable>: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>
  private var state: State

  /// Guards `state`.
  package init(_ state: State) {
    self.state = state
    mutex = .allocate(capacity: 1)
    condition = .allocate(capacity: 1)
    var attributes = pthread_condattr_t()
    let failure =
      pthread_condattr_init(&attributes) | pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
      | pthread_mutex_init(mutex, nil) | pthread_cond_init(condition, &attributes)
    pthread_condattr_destroy(&attributes)
    precondition(failure == 0, "a mutex and condition with these attributes cannot fail on Linux")
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  /// Runs `body` with exclusive access.
  package func withLock<Result, Failure: Error>(
    _ body: (inout State) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body(&state)
  }

  /// Changes the state and wakes those who wait.
  package func notify<Result>(_ body: (inout State) -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    let result = body(&state)
    pthread_cond_broadcast(condition)
    return result
  }

  /// Blocks until `body` returns a value; it is asked first now, then after each `notify`.
  package func wait<Result>(for body: (inout State) -> Result?) -> Result {
    while true {
      if let result = wait(until: nil, for: body) { return result }
    }
  }

  /// As `wait(for:)`, but returns nil when the time has come before a value.
  package func wait<Result>(
    until deadline: ContinuousClock.Instant?,
    for body: (inout State) -> Result?
  ) -> Result? {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while true {
      if let result = body(&state) { return result }
      guard let deadline else {
        pthread_cond_wait(condition, mutex)
        continue
      }
      let remaining = deadline - .now
      guard remaining > .zero else { return nil }
      var time = Self.monotonicTime(after: remaining)
      pthread_cond_timedwait(condition, mutex, &time)
    }
  }

  private static func monotonicTime(after duration: Duration) -> timespec {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    let (seconds, attoseconds) = duration.components
    let nanoseconds = time.tv_nsec + Int(attoseconds / 1_000_000_000)
    time.tv_sec += Int(seconds) + nanoseconds / 1_000_000_000
    time.tv_nsec = nanoseconds % 1_000_000_000
    return time
  }
}
