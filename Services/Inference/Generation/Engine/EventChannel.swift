internal import Synchronization

/// Carries the events of one generation from the engine thread to one reader.
///
/// Bounded: the engine asks `hasRoom` before it makes another event, and is woken when a full channel
/// has room again or the reader goes away. The end comes on top of the bound.
final class EventChannel: Sendable {
  private typealias Reader = CheckedContinuation<Result<GenerationEvent?, any Error>, Never>

  private struct State {
    /// At most the capacity plus the final event.
    var events: [GenerationEvent] = []
    var reader: Reader?
    /// Set once: nil, or the error after the events.
    var end: Result<GenerationEvent?, any Error>?
    var isCancelled = false
  }

  private let capacity: Int
  private let wakeEngine: @Sendable () -> Void
  private let state = Mutex(State())

  /// `wakeEngine` is called without a lock held.
  init(capacity: Int, wakeEngine: @escaping @Sendable () -> Void) {
    precondition(capacity > 0)
    self.capacity = capacity
    self.wakeEngine = wakeEngine
  }

  // MARK: The engine's side

  /// Whether the reader went away.
  var isCancelled: Bool { state.withLock { $0.isCancelled } }
  /// Whether another event may be sent.
  var hasRoom: Bool { state.withLock { $0.events.count < capacity } }

  /// Hands over an event; one for a reader that went away is dropped.
  func send(_ event: GenerationEvent) {
    let reader = state.withLock { state -> Reader? in
      guard !state.isCancelled, state.end == nil else { return nil }
      if let reader = state.reader {
        state.reader = nil
        return reader
      }
      state.events.append(event)
      precondition(state.events.count <= capacity + 1, "the engine did not wait for room")
      return nil
    }
    reader?.resume(returning: .success(event))
  }

  /// Ends the stream, with an error after the events or without.
  func finish(throwing error: (any Error)? = nil) {
    let end: Result<GenerationEvent?, any Error> = error.map { .failure($0) } ?? .success(nil)
    let reader = state.withLock { state -> Reader? in
      guard state.end == nil else { return nil }
      state.end = end
      defer { state.reader = nil }
      return state.reader
    }
    reader?.resume(returning: end)
  }

  // MARK: The reader's side

  /// The next event, nil at the end.
  ///
  /// One reader at a time: a second one is a defect of the caller. Throws `CancellationError` when the task or the stream is cancelled, or the engine's error.
  func next() async throws -> GenerationEvent? {
    try await withTaskCancellationHandler {
      let result = await withCheckedContinuation { continuation in
        let (result, hadNoRoom) = take(or: continuation)
        if hadNoRoom { wakeEngine() }
        if let result { continuation.resume(returning: result) }
      }
      return try result.get()
    } onCancel: {
      cancel()
    }
  }

  /// What there is for the reader, or else keeps it; and whether the engine may wait for room.
  private func take(
    or reader: Reader
  ) -> (Result<GenerationEvent?, any Error>?, hadNoRoom: Bool) {
    state.withLock { state in
      if state.isCancelled { return (.failure(CancellationError()), false) }
      if !state.events.isEmpty {
        let hadNoRoom = state.events.count >= capacity && state.end == nil
        return (.success(state.events.removeFirst()), hadNoRoom)
      }
      if let end = state.end { return (end, false) }
      precondition(state.reader == nil, "a generation has one reader")
      state.reader = reader
      return (nil, false)
    }
  }

  /// The reader goes away: the engine drops the sequence within one step.
  ///
  /// May be called again.
  func cancel() {
    let (reader, isNews) = state.withLock { state -> (Reader?, Bool) in
      let isNews = !state.isCancelled && state.end == nil
      state.isCancelled = true
      state.events.removeAll()
      defer { state.reader = nil }
      return (state.reader, isNews)
    }
    reader?.resume(returning: .failure(CancellationError()))
    if isNews { wakeEngine() }
  }
}
