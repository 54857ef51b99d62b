import NIOCore

/// Runs the tasks that handle calls on the event loop that owns their connection, so that a handler
/// which only decodes, asks and encodes never changes threads.
///
/// A handler that computes for long must do so elsewhere: it stops its loop meanwhile.
///
/// `@unchecked Sendable`: the variables are used on `eventLoop` alone.
final class LoopExecutor: TaskExecutor, @unchecked Sendable {
  /// Rounds of tasks that wake each other before the loop goes on with its sockets.
  private static let roundsMax = 16

  private let eventLoop: any EventLoop
  /// Whether tasks that become ready wait in `ready` for `runReady`.
  @exclusivity(unchecked) private var isCollecting = false
  @exclusivity(unchecked) private var ready: [UnownedJob] = []
  /// Where `resume` finds the task that it woke.
  @exclusivity(unchecked) private var awaitsJob = false
  @exclusivity(unchecked) private var resumed: UnownedJob?

  init(_ eventLoop: any EventLoop) {
    self.eventLoop = eventLoop
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    if eventLoop.inEventLoop {
      if awaitsJob {
        awaitsJob = false
        resumed = job
        return
      }
      if isCollecting { return ready.append(job) }
    }
    eventLoop.execute {
      job.runSynchronously(on: self.asUnownedTaskExecutor())
    }
  }

  /// Resumes a task of this executor and runs it until it suspends.
  func resume<T>(_ continuation: UnsafeContinuation<T, Never>, returning value: sending T) {
    awaitsJob = true
    resumed = nil
    continuation.resume(returning: value)
    awaitsJob = false
    guard let job = resumed else { return }
    resumed = nil
    job.runSynchronously(on: asUnownedTaskExecutor())
  }

  /// Begins to collect the tasks that become ready; on the loop.
  func collect() {
    isCollecting = true
  }

  /// Runs the tasks that became ready since `collect`, and those that these make ready; on the loop.
  func runReady() {
    for _ in 0..<Self.roundsMax where !ready.isEmpty {
      let jobs = ready
      ready.removeAll(keepingCapacity: true)
      for job in jobs { job.runSynchronously(on: asUnownedTaskExecutor()) }
    }
    isCollecting = false
    guard !ready.isEmpty else { return }
    let rest = ready
    ready.removeAll()
    eventLoop.execute {
      for job in rest { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
  }
}
