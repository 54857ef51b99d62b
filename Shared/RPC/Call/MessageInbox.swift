import NIOCore
import Synchronization

/// Messages on their way from the event loop to the one task that reads them.
///
/// The loop pushes, one consumer pops; a message that is there already is popped without a
/// suspension or a hop. The peer gets its window back when the consumer takes a message, so a slow
/// consumer slows the sender: at most one stream window of messages, and one partial message, wait.
final class MessageInbox: Sendable {
  private enum Taken {
    case message(ReceivedMessage)
    case end
    case failed(RPCError)
    case cancelled
  }

  private struct Message {
    let content: ReceivedMessage
    /// Bytes of window that it holds.
    let credit: Int

    /// What it counts towards the connection's budget: empty messages take memory too.
    var cost: Int { content.bytes.count + MessageInbox.entryBytes }
  }

  private struct State {
    var queue = CircularBuffer<Message>()
    /// Window held by bytes of a message that is not complete.
    var partialCredit = 0
    /// Window of consumed messages that the loop was not told about yet.
    var owed = 0
    var end: Taken?
    var waiter: UnsafeContinuation<Taken, Never>?
  }

  /// Owed window below this is not worth waking the loop.
  private let creditThreshold: Int
  /// Counts the messages that wait; nil: the window alone bounds them.
  private let budget: ByteBudget?
  /// The largest message after decompression.
  private let maxMessageBytes: Int
  private let lastCompressed = Atomic(false)
  private let state = Mutex(State())

  /// What a message that waits takes beside its bytes.
  private static let entryBytes = 64

  init(windowBytes: Int, maxMessageBytes: Int, budget: ByteBudget? = nil) {
    creditThreshold = max(1, windowBytes / 8)
    self.budget = budget
    self.maxMessageBytes = maxMessageBytes
  }

  // MARK: The loop's side

  /// Notes bytes that arrived and are not part of a pushed message yet.
  func received(_ bytes: Int) {
    state.withLock { $0.partialCredit += bytes }
  }

  /// Hands over a message, whose bytes were noted before.
  func push(_ message: ReceivedMessage) {
    let waiter = state.withLock { state -> UnsafeContinuation<Taken, Never>? in
      guard state.end == nil else { return nil }
      let credit = min(state.partialCredit, message.bytes.count + MessageFraming.prefixBytes)
      state.partialCredit -= credit
      if let waiter = state.waiter {
        state.waiter = nil
        state.owed += credit
        return waiter
      }
      let waiting = Message(content: message, credit: credit)
      budget?.add(waiting.cost)
      state.queue.append(waiting)
      return nil
    }
    waiter?.resume(returning: .message(message))
  }

  /// Window to give back now: what was consumed, and, while the consumer waits, the bytes of the
  /// message it waits for; without them a message larger than the window would never complete.
  func settle() -> Int {
    state.withLock { state in
      var credit = state.owed
      state.owed = 0
      if state.waiter != nil {
        credit += state.partialCredit
        state.partialCredit = 0
      }
      return credit
    }
  }

  /// Ends the inbox after the messages it holds; the first end counts.
  func finish(_ error: RPCError?) {
    end(error.map(Taken.failed) ?? .end, dropping: false)
  }

  /// Ends the inbox at once, without the messages it holds; a reader that missed some of them gets
  /// the error even if the inbox was finished before.
  func fail(_ error: RPCError) {
    end(.failed(error), dropping: true)
  }

  private func end(_ end: Taken, dropping: Bool) {
    let waiter = state.withLock { state -> UnsafeContinuation<Taken, Never>? in
      let dropsMessages = dropping && !state.queue.isEmpty
      if dropsMessages {
        budget?.add(-state.queue.reduce(0) { $0 + $1.cost })
        state.queue = CircularBuffer()
      }
      guard state.end == nil || dropsMessages else { return nil }
      state.end = end
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume(returning: end)
  }

  // MARK: The consumer's side

  /// Whether the message taken last came compressed.
  var lastWasCompressed: Bool { lastCompressed.load(ordering: .relaxed) }

  /// The next message, decompressed, or nil after the last.
  ///
  /// One task at a time may wait.
  func next(
    for port: some StreamPort,
    isolation: isolated (any Actor)? = #isolation
  ) async throws(RPCError) -> ArraySlice<UInt8>? {
    if Task.isCancelled { port.taskCancelled() }
    var taken = take(for: port)
    if taken == nil {
      taken = await withTaskCancellationHandler {
        await withUnsafeContinuation { wait($0, for: port) }
      } onCancel: {
        self.cancelWaiter()
      }
    }
    switch taken {
    case .message(let message):
      lastCompressed.store(message.isCompressed, ordering: .relaxed)
      return try message.plain(maxBytes: maxMessageBytes)
    case .end: return nil
    case .failed(let error): throw error
    case .cancelled, nil:
      port.taskCancelled()
      throw RPCError(.cancelled, "the task that reads the stream was cancelled")
    }
  }

  private func take(for port: some StreamPort) -> Taken? {
    let (taken, credit) = state.withLock { state -> (Taken?, Int) in
      guard let message = pop(&state) else { return (state.end, 0) }
      state.owed += message.credit
      guard state.owed >= creditThreshold, state.end == nil else {
        return (.message(message.content), 0)
      }
      defer { state.owed = 0 }
      return (.message(message.content), state.owed)
    }
    giveBack(credit, to: port)
    return taken
  }

  private func pop(_ state: inout State) -> Message? {
    guard let message = state.queue.popFirst() else { return nil }
    budget?.add(-message.cost)
    return message
  }

  private func wait(_ continuation: UnsafeContinuation<Taken, Never>, for port: some StreamPort) {
    let (taken, credit) = state.withLock { state -> (Taken?, Int) in
      precondition(state.waiter == nil, "RPC stream: two tasks read the same stream")
      if let message = pop(&state) {
        state.owed += message.credit
        return (.message(message.content), 0)
      }
      if let end = state.end { return (end, 0) }
      // Cancellation sets this flag before it calls `cancelWaiter`: either that call finds the
      // waiter, or the flag is seen here.
      if Task.isCancelled { return (.cancelled, 0) }
      state.waiter = continuation
      guard state.partialCredit > 0 || state.owed >= creditThreshold else { return (nil, 0) }
      let credit = state.partialCredit + state.owed
      state.partialCredit = 0
      state.owed = 0
      return (nil, credit)
    }
    giveBack(credit, to: port)
    if let taken { continuation.resume(returning: taken) }
  }

  private func cancelWaiter() {
    let waiter = state.withLock { state -> UnsafeContinuation<Taken, Never>? in
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume(returning: .cancelled)
  }

  private func giveBack(_ credit: Int, to port: some StreamPort) {
    guard credit > 0 else { return }
    port.onLoop { port.giveBack(credit) }
  }
}
