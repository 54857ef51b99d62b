/// A parameter and its gradient, as the optimizers see them.
///
/// `@unchecked Sendable`: two pointers to memory of the owner, which keeps it alive longer than the
/// optimizer and does not touch it while a step runs.
package struct ParameterBuffer: @unchecked Sendable {
  /// The name in the checkpoint; names the parameter's state too.
  package let name: String
  /// The elements, f32, in any layout.
  package let values: UnsafeMutableBufferPointer<Float>
  /// The gradient of each element, f32; as many as there are values.
  package let gradients: UnsafeMutableBufferPointer<Float>
  /// Whether weight decay applies: false for biases and norms.
  package let isDecayed: Bool

  /// Describes a parameter; `values` and `gradients` have the same count.
  package init(
    name: String,
    values: UnsafeMutableBufferPointer<Float>,
    gradients: UnsafeMutableBufferPointer<Float>,
    isDecayed: Bool
  ) {
    precondition(values.count == gradients.count)
    self.name = name
    self.values = values
    self.gradients = gradients
    self.isDecayed = isDecayed
  }
}

/// Parameters that share settings which differ from those of other groups.
package struct ParameterGroup: Sendable {
  /// The parameters.
  package let parameters: [ParameterBuffer]
  /// Multiplies the learning rate of each step; for example 0.1 for layers near the input.
  package let learningRateFactor: Double
  /// The weight decay of the decayed parameters of the group; nil takes the optimizer's.
  package let weightDecay: Double?

  /// Makes a group.
  package init(
    _ parameters: [ParameterBuffer],
    learningRateFactor: Double = 1,
    weightDecay: Double? = nil
  ) {
    self.parameters = parameters
    self.learningRateFactor = learningRateFactor
    self.weightDecay = weightDecay
  }
}
