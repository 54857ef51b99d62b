/// The tasks that run the handlers of one connection's calls.
///
/// A task that is through with a call waits for the next: to start one takes longer than what most
/// handlers do.
///
/// `@unchecked Sendable`: used on the connection's loop alone, which is its tasks' executor, too.
final class CallWorkers: @unchecked Sendable {
  /// Tasks that wait for a call; more of them end.
  private static let idleMax = 32

  private let executor: LoopExecutor
  @exclusivity(unchecked) private var idle: [CallWorker] = []
  @exclusivity(unchecked) private var isClosed = false

  init(_ executor: LoopExecutor) {
    self.executor = executor
  }

  /// Runs the call's handler, until it suspends, and returns the task that runs it.
  func run(_ call: ServerCall) -> Task<Void, Never>? {
    if let worker = idle.popLast(), let continuation = worker.continuation {
      worker.continuation = nil
      executor.resume(continuation, returning: call)
      return worker.task
    }
    let worker = CallWorker()
    worker.first = call
    worker.task = Self.spawn(worker, self, executor)
    return worker.task
  }

  /// Ends the tasks that wait, and the others once they are through.
  func close() {
    isClosed = true
    for worker in idle {
      guard let continuation = worker.continuation else { continue }
      worker.continuation = nil
      executor.resume(continuation, returning: nil)
    }
    idle = []
  }

  /// Nonisolated, so that the task does not inherit an actor from the caller.
  private static func spawn(
    _ worker: CallWorker,
    _ workers: CallWorkers,
    _ executor: LoopExecutor
  ) -> Task<Void, Never> {
    Task.immediate(executorPreference: executor) {
      // A call is let go of before the wait for the next.
      var next = worker.first.take()
      while let call = next.take() {
        await call.runHandler()
        // A task that was cancelled cannot serve a call that is not.
        if Task.isCancelled { return }
        next = await workers.next(for: worker)
      }
    }
  }

  private func next(for worker: CallWorker) async -> ServerCall? {
    guard !isClosed, idle.count < Self.idleMax else { return nil }
    return await withUnsafeContinuation { continuation in
      worker.continuation = continuation
      idle.append(worker)
    }
  }
}

/// One task that runs handlers, and how it is woken.
///
/// `@unchecked Sendable`: used on the connection's loop alone.
private final class CallWorker: @unchecked Sendable {
  @exclusivity(unchecked) var task: Task<Void, Never>?
  @exclusivity(unchecked) var first: ServerCall?
  @exclusivity(unchecked) var continuation: UnsafeContinuation<ServerCall?, Never>?
}
