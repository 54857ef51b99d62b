import NIOCore
import Synchronization

/// Messages on their way from the tasks that write them to the event loop.
///
/// A writer suspends while the stream holds more than its bound: at most `highBytes` wait here,
/// another `highBytes` in the session, and one message above each.
final class MessageOutbox: Sendable {
  private struct State {
    var staged: [[UInt8]] = []
    var stagedBytes = 0
    /// Whether the loop was asked to take what is staged.
    var isScheduled = false
    /// Whether the session holds too much for this stream.
    var isBlocked = false
    /// Whether no message follows the staged ones.
    var hasEnded = false
    var closed: RPCError?
    var waiters: [UInt64: UnsafeContinuation<Bool, Never>] = [:]
    var nextWaiter: UInt64 = 0

    func isFull(_ highBytes: Int) -> Bool { isBlocked || stagedBytes >= highBytes }

    mutating func takeWaiters() -> [UnsafeContinuation<Bool, Never>] {
      guard !waiters.isEmpty else { return [] }
      defer { waiters = [:] }
      return waiters.sorted { $0.key < $1.key }.map(\.value)
    }
  }

  private enum Offer {
    case accepted(flush: Bool)
    case full
    case closed(RPCError)
  }

  private let highBytes: Int
  private let state = Mutex(State())

  init(highBytes: Int) {
    self.highBytes = highBytes
  }

  // MARK: The writers' side

  /// Takes a framed message; suspends while the stream is full.
  ///
  /// Throws what closed the stream.
  func write(
    _ message: [UInt8],
    for port: some StreamPort,
    isolation: isolated (any Actor)? = #isolation
  ) async throws(RPCError) {
    while true {
      switch offer(message) {
      case .accepted(let flush):
        if flush { port.onLoop { port.flushOutbox() } }
        return
      case .closed(let error): throw error
      case .full:
        guard await waitForRoom() else {
          port.taskCancelled()
          throw RPCError(.cancelled, "the task that writes the stream was cancelled")
        }
      }
    }
  }

  /// Takes a framed message without waiting, and tells nobody: for a call that is not started.
  func stage(_ message: [UInt8]) {
    state.withLock { state in
      state.staged.append(message)
      state.stagedBytes += message.count
    }
  }

  /// States that no message follows, and tells nobody: for a call that is not started.
  func end() {
    state.withLock { $0.hasEnded = true }
  }

  /// States that no message follows.
  func finish(for port: some StreamPort) {
    let flush = state.withLock { state -> Bool in
      guard !state.hasEnded, state.closed == nil else { return false }
      state.hasEnded = true
      defer { state.isScheduled = true }
      return !state.isScheduled
    }
    if flush { port.onLoop { port.flushOutbox() } }
  }

  private func offer(_ message: [UInt8]) -> Offer {
    state.withLock { state in
      if let error = state.closed { return .closed(error) }
      guard !state.hasEnded else {
        return .closed(RPCError(.internal, "write: the stream was finished before"))
      }
      guard !state.isFull(highBytes) else { return .full }
      state.staged.append(message)
      state.stagedBytes += message.count
      defer { state.isScheduled = true }
      return .accepted(flush: !state.isScheduled)
    }
  }

  /// Suspends until the stream may have room; false when the task is cancelled.
  private func waitForRoom(isolation: isolated (any Actor)? = #isolation) async -> Bool {
    let id = state.withLock { state in
      state.nextWaiter += 1
      return state.nextWaiter
    }
    return await withTaskCancellationHandler {
      await withUnsafeContinuation { continuation in
        let result = state.withLock { state -> Bool? in
          if state.closed != nil || !state.isFull(highBytes) { return true }
          // As in `MessageInbox`: seen here, or the waiter is found by the handler below.
          if Task.isCancelled { return false }
          state.waiters[id] = continuation
          return nil
        }
        if let result { continuation.resume(returning: result) }
      }
    } onCancel: {
      let waiter = self.state.withLock { $0.waiters.removeValue(forKey: id) }
      waiter?.resume(returning: false)
    }
  }

  // MARK: The loop's side

  /// Whether nothing waits here, so that a message that is written at once overtakes none.
  var isEmpty: Bool { state.withLock { $0.staged.isEmpty } }

  /// Takes what is staged, and whether the stream ends after it.
  func take() -> (messages: [[UInt8]], hasEnded: Bool) {
    state.withLock { state in
      defer {
        state.staged = []
        state.stagedBytes = 0
        state.isScheduled = false
      }
      return (state.staged, state.hasEnded)
    }
  }

  /// Says whether the session holds too much for this stream, and wakes writers when it does not.
  func setBlocked(_ isBlocked: Bool) {
    let waiters = state.withLock { state in
      state.isBlocked = isBlocked
      return state.isFull(highBytes) ? [] : state.takeWaiters()
    }
    for waiter in waiters { waiter.resume(returning: true) }
  }

  /// Ends the outbox: writers get `error`, what is staged is dropped.
  func close(_ error: RPCError) {
    let waiters = state.withLock { state -> [UnsafeContinuation<Bool, Never>] in
      guard state.closed == nil else { return [] }
      state.closed = error
      state.staged = []
      state.stagedBytes = 0
      return state.takeWaiters()
    }
    for waiter in waiters { waiter.resume(returning: true) }
  }
}
