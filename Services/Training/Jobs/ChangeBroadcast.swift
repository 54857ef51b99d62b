import Synchronization

/// Tells those who wait that a job has changed; what has changed, they read from the store.
final class ChangeBroadcast: Sendable {
  private struct State {
    var next: UInt64 = 0
    var waiters: [String: [UInt64: AsyncStream<Void>.Continuation]] = [:]
  }

  private let state = Mutex(State())

  /// A stream that yields after each change of a job, several at once if its reader is slow.
  func changes(of job: String) -> AsyncStream<Void> {
    let (stream, continuation) = AsyncStream.makeStream(
      of: Void.self,
      bufferingPolicy: .bufferingNewest(1)
    )
    let number = state.withLock { state in
      state.next += 1
      state.waiters[job, default: [:]][state.next] = continuation
      return state.next
    }
    continuation.onTermination = { [weak self] _ in self?.remove(number, of: job) }
    return stream
  }

  /// Tells those who wait for a job.
  func tell(_ job: String) {
    let waiters = state.withLock { $0.waiters[job].map { Array($0.values) } ?? [] }
    for waiter in waiters { waiter.yield() }
  }

  private func remove(_ number: UInt64, of job: String) {
    state.withLock { state in
      state.waiters[job]?[number] = nil
      if state.waiters[job]?.isEmpty == true { state.waiters[job] = nil }
    }
  }
}
