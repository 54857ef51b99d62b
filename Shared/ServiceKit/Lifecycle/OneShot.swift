import Synchronization

/// A value that is set once and awaited by any number of tasks, such as the port of a listener.
package final class OneShot<Value: Sendable>: Sendable {
  private struct State {
    var result: Result<Value, any Error>?
    var waiters: [UInt64: CheckedContinuation<Value, any Error>] = [:]
    var nextWaiter: UInt64 = 0
  }

  private let state = Mutex(State())

  /// Creates one that is not set.
  package init() {}

  /// Sets the value; later calls of this and of `fail` have no effect.
  package func succeed(_ value: Value) { complete(.success(value)) }

  /// Makes waiting throw; later calls of this and of `succeed` have no effect.
  package func fail(_ error: any Error) { complete(.failure(error)) }

  /// The value, as soon as it is set.
  ///
  /// - Throws: What `fail` was given, or `CancellationError` if the task is cancelled first.
  package func value() async throws -> Value {
    let id = state.withLock { state in
      state.nextWaiter += 1
      return state.nextWaiter
    }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let result = state.withLock { state -> Result<Value, any Error>? in
          if let result = state.result { return result }
          // The handler below runs before this if the task was cancelled already.
          if Task.isCancelled { return .failure(CancellationError()) }
          state.waiters[id] = continuation
          return nil
        }
        if let result { continuation.resume(with: result) }
      }
    } onCancel: {
      let waiter = state.withLock { $0.waiters.removeValue(forKey: id) }
      waiter?.resume(throwing: CancellationError())
    }
  }

  private func complete(_ result: Result<Value, any Error>) {
    let waiters = state.withLock { state in
      guard state.result == nil else { return [CheckedContinuation<Value, any Error>]() }
      state.result = result
      defer { state.waiters = [:] }
      return Array(state.waiters.values)
    }
    for waiter in waiters { waiter.resume(with: result) }
  }
}
