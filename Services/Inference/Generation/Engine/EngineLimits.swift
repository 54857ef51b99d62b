/// The bounds of an engine's queues and steps.
package struct EngineLimits: Sendable, Equatable {
  /// Sequences that are generated at the same time; each holds a KV cache.
  package var activeMax = 8
  /// Requests that wait for their turn; one more is refused.
  package var waitingMax = 64
  /// Events that a stream holds for a reader that is behind; its sequence then pauses.
  package var bufferedEventsMax = 64
  /// Prompt tokens that one step runs: how long others wait for a long prompt, and how late a
  /// cancellation takes effect.
  package var prefillTokensMax = 256

  /// The defaults.
  package init() {}
}
