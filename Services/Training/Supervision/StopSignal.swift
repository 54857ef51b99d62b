import Synchronization

/// The wish that a worker stops; the first reason holds.
final class StopSignal: Sendable {
  enum Reason: Sendable {
    /// The job's owner wants it to end.
    case cancel
    /// The service ends.
    case shutdown
  }

  private let state = Mutex<Reason?>(nil)
  private let stream: AsyncStream<Void>
  private let continuation: AsyncStream<Void>.Continuation

  init() {
    (stream, continuation) = AsyncStream.makeStream(of: Void.self)
  }

  /// Why the worker is to stop; nil while it is not.
  var reason: Reason? { state.withLock { $0 } }

  /// Asks the worker to stop.
  func request(_ reason: Reason) {
    state.withLock { $0 = $0 ?? reason }
    continuation.finish()
  }

  /// Returns when the worker is to stop, or when the task is cancelled; one task may wait.
  func wait() async {
    for await _ in stream {}
  }
}
