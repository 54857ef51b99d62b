import NIOCore

/// The end of a call that lives on the event loop, as its inbox and outbox see it.
protocol StreamPort: AnyObject, Sendable {
  /// The loop that owns the call's stream.
  var eventLoop: any EventLoop { get }

  /// Gives the peer back window for that many bytes. On the loop.
  func giveBack(_ bytes: Int)

  /// Moves what the outbox holds into the session. On the loop.
  func flushOutbox()

  /// The task that reads or writes was cancelled. On any thread.
  func taskCancelled()
}

extension StreamPort {
  /// Runs `body` on the loop: at once when the caller is there already.
  func onLoop(_ body: @escaping @Sendable () -> Void) {
    if eventLoop.inEventLoop {
      body()
    } else {
      eventLoop.execute(body)
    }
  }
}
