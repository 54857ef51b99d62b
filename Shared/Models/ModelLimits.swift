/// The memory and sizes that a loaded model may take.
package struct ModelLimits: Sendable {
  /// The most bytes of f32 weights.
  package var weightBytesMax = 8 << 30
  /// The most bytes of intermediate values; the plan is checked against it when the model loads.
  package var arenaBytesMax = 2 << 30
  /// The most tokens that a decoder runs at once: how long other sequences wait for a long prompt, and how late a
  /// cancellation takes effect.
  package var prefillTokensMax = 256

  /// The most tokens of a step of training.
  package var batchTokensMax = 1 << 17

  /// The defaults.
  package init() {}
}
