import NIOCore

/// Runs the tasks that handle calls on the event loop that owns their connection, so that a handler
/// which only decodes, asks and encodes never changes threads.
///
/// A handler that computes for long must do so elsewhere: it stops its loop meanwhile.
final class LoopExecutor: TaskExecutor {
  private let eventLoop: any EventLoop

  init(_ eventLoop: any EventLoop) {
    self.eventLoop = eventLoop
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    eventLoop.execute {
      job.runSynchronously(on: self.asUnownedTaskExecutor())
    }
  }
}
