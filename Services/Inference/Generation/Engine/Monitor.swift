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
final class Monitor<State: Sendable>: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>
  private var state: State

  init(_ state: State) {
    self.state = state
    mutex = .allocate(capacity: 1)
    condition = .allocate(capacity: 1)
    let failure = pthread_mutex_init(mutex, nil) | pthread_cond_init(condition, nil)
    precondition(failure == 0, "a mutex and condition with default attributes cannot fail on Linux")
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  /// Runs `body` with exclusive access.
  func withLock<Result, Failure: Error>(
    _ body: (inout State) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body(&state)
  }

  /// Changes the state and wakes those who wait.
  func notify<Result>(_ body: (inout State) -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    let result = body(&state)
    pthread_cond_broadcast(condition)
    return result
  }

  /// Blocks until `body` returns a value; it is asked first now, then after each `notify`.
  func wait<Result>(for body: (inout State) -> Result?) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while true {
      if let result = body(&state) { return result }
      pthread_cond_wait(condition, mutex)
    }
  }
}
