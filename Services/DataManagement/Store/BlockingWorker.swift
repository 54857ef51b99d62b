@preconcurrency import Dispatch
import Synchronization

/// An actor whose work runs on a dispatch queue of its own, one item at a time, so that blocking file work
/// never occupies a thread of the cooperative pool or an event loop.
///
/// The work runs inside the caller's task, hence sees its cancellation. At most `pendingMax` items run or
/// wait.
package actor BlockingWorker {
  private nonisolated let executor: QueueExecutor
  private nonisolated let label: String
  private nonisolated let pendingMax: Int
  private nonisolated let pending = Mutex(0)

  /// The queue.
  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    executor.asUnownedSerialExecutor()
  }

  /// - Parameters:
  ///   - label: what the work is, for the message of a refusal.
  ///   - pendingMax: items that may run or wait.
  package init(label: String, pendingMax: Int) {
    self.label = label
    self.pendingMax = pendingMax
    executor = QueueExecutor(label: "llmos.data.\(label)")
  }

  /// Runs the work after that submitted before; throws `resourceExhausted` when too much waits.
  package nonisolated func run<Value: Sendable>(
    _ work: @Sendable () throws(DataError) -> Value
  ) async throws(DataError) -> Value {
    let isAdmitted = pending.withLock { count in
      guard count < pendingMax else { return false }
      count += 1
      return true
    }
    guard isAdmitted else {
      throw DataError(
        .resourceExhausted,
        "\(label): \(pendingMax) requests are waiting already"
      )
    }
    defer { pending.withLock { $0 -= 1 } }
    return try await perform(work)
  }

  private func perform<Value: Sendable>(
    _ work: @Sendable () throws(DataError) -> Value
  ) throws(DataError) -> Value {
    if Task.isCancelled { throw DataError(.cancelled, "\(label): cancelled") }
    return try work()
  }
}

/// Runs an actor's jobs on a serial dispatch queue.
///
/// `DispatchSerialQueue` is no executor on Linux; see
/// <https://forums.swift.org/t/using-dispatchqueue-as-actors-serial-executor-under-linux/75260/3>.
/// `@unchecked Sendable`: the queue is the only state, immutable, and safe to use from any thread.
package final class QueueExecutor: SerialExecutor, @unchecked Sendable {
  private let queue: DispatchQueue

  /// An executor with a queue of its own.
  package init(label: String) { queue = DispatchQueue(label: label) }

  /// Runs a job on the queue.
  package func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
  }

  /// Traps unless on the queue.
  package func checkIsolated() { dispatchPrecondition(condition: .onQueue(queue)) }
}
