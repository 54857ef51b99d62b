/// The events of one generation: an asynchronous sequence for a single reader.
///
/// Reading slowly pauses this generation and no other. Cancelling the reading task, calling `cancel` or
/// dropping the stream and its iterator ends the generation within one step of the engine.
package struct GenerationStream: AsyncSequence, Sendable {
  package typealias Element = GenerationEvent
  package typealias Failure = any Error

  private let lease: Lease

  init(_ channel: EventChannel) { lease = Lease(channel: channel) }

  /// Ends the generation; reading then throws `CancellationError`.
  package func cancel() { lease.channel.cancel() }

  /// Starts to read.
  package func makeAsyncIterator() -> Iterator { Iterator(lease: lease) }

  /// Reads the events.
  package struct Iterator: AsyncIteratorProtocol {
    fileprivate let lease: Lease

    /// The next event, nil at the end; throws `GenerationError` or `CancellationError`.
    package mutating func next() async throws -> GenerationEvent? {
      try await lease.channel.next()
    }
  }

  /// Lives as long as somebody can read.
  fileprivate final class Lease: Sendable {
    let channel: EventChannel

    init(channel: EventChannel) { self.channel = channel }

    deinit { channel.cancel() }
  }
}
