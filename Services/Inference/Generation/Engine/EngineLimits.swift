/// The bounds of an engine's queues and steps.
package struct EngineLimits: Sendable, Equatable {
  /// Sequences that are generated at the same time; each holds a KV cache.
  package var activeMax = 8
  /// Requests that wait for their turn; one more is refused.
  package var waitingMax = 64
  /// Events that a stream holds for a reader that is behind; its sequence then pauses.
  package var bufferedEventsMax = 64
  /// Bytes of the KV caches of the sequences that are generated at the same time; a request waits until its own fits.
  ///
  /// It bounds the context, too: no sequence is longer than fits alone.
  package var cacheBytesMax = 2 << 30
  /// How long a sequence keeps its place for a reader that takes nothing.
  package var stallMax = Duration.seconds(30)

  /// The defaults.
  package init() {}
}
