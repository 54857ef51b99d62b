import NIOCore

/// Runs the tasks that handle calls on the event loop that owns their connection, so that a handler
/// which only decodes, asks and encodes never changes threads.
///
/// A handler that computes for long must do so elsewhere: it stops its loop meanwhile.
///
/// `@unchecked Sendable`: the variables are used on `eventLoop` alone.
final class LoopExecutor: TaskExecutor, @unchecked Sendable {
  /// Rounds of tasks that wake each other before the loop goes on with other tasks.
  private static let roundsMax = 16

  private let eventLoop: any EventLoop
  /// Whether tasks that become ready wait in `ready` for `runReady`.
  @exclusivity(unchecked) private var isCollecting = false
  /// Whether the loop was asked to call `runReady`.
  @exclusivity(unchecked) private var isScheduled = false
  /// Since when tasks have woken each other without an end.
  @exclusivity(unchecked) private var busySince: NIODeadline?
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
      ready.append(job)
      return isCollecting ? () : schedule()
    }
    eventLoop.execute {
      job.runSynchronously(on: self.asUnownedTaskExecutor())
    }
  }

  /// Asks the loop to run what is ready; after its sockets, when that has gone on for long.
  private func schedule() {
    guard !isScheduled else { return }
    isScheduled = true
    if let busySince, eventLoop.now - busySince > LoopTurns.workMax {
      LoopTurns.of(eventLoop).later {
        self.isScheduled = false
        self.runReady(until: self.eventLoop.now + LoopTurns.workMax)
      }
    } else {
      eventLoop.execute {
        self.isScheduled = false
        self.runReady()
      }
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
  func runReady(until end: NIODeadline? = nil) {
    isCollecting = true
    repeat {
      for _ in 0..<Self.roundsMax where !ready.isEmpty {
        let jobs = ready
        ready.removeAll(keepingCapacity: true)
        for job in jobs { job.runSynchronously(on: asUnownedTaskExecutor()) }
      }
    } while !ready.isEmpty && end.map { eventLoop.now < $0 } ?? false
    isCollecting = false
    guard !ready.isEmpty else {
      busySince = nil
      return
    }
    busySince = busySince ?? eventLoop.now
    schedule()
  }
}
