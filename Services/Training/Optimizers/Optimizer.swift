/// What all optimizers share: parameters, and a state that can be saved and restored.
///
/// An optimizer is used by one thread at a time; it splits its work over a pool itself.
package protocol StatefulOptimizer: AnyObject {
  /// The state but for its arrays.
  var counters: (algorithm: String, counters: [String: Int], scalars: [String: Double]) { get }

  /// Calls `body` with each array of the state in a fixed order, without copying it.
  func withStateArrays(
    _ body: (_ name: String, _ values: UnsafeBufferPointer<Float>) throws -> Void
  ) rethrows

  /// Continues from a saved state.
  /// - Throws: `invalidState` when it does not fit; the optimizer is then as it was.
  func restore(_ state: OptimizerState) throws(OptimizerError)

  /// Sets all gradients to zero: what is left to do after a step that was refused.
  func zeroGradients()
}

extension StatefulOptimizer {
  /// A copy of the state.
  package var state: OptimizerState {
    let (algorithm, counters, scalars) = counters
    var arrays: [String: [Float]] = [:]
    withStateArrays { arrays[$0] = Array($1) }
    return OptimizerState(
      algorithm: algorithm,
      counters: counters,
      scalars: scalars,
      arrays: arrays
    )
  }
}

/// An optimizer that makes one step per gradient.
package protocol Optimizer: StatefulOptimizer {
  /// Makes one step with the accumulated gradients, which are zero afterwards.
  ///
  /// With `normMax` the gradients are scaled by min(1, normMax / (norm + 1e-6)), as
  /// `torch.nn.utils.clip_grad_norm_` does.
  /// - Returns: the global norm of the gradients before clipping.
  /// - Throws: `notFinite` when the norm is not; parameters, gradients and state are then as they
  ///   were, and the caller decides: skip (`zeroGradients`) or stop.
  func step(learningRate: Double, normMax: Double?) throws(OptimizerError) -> Double
}

extension Optimizer {
  /// Makes one step without clipping.
  @discardableResult
  package func step(learningRate: Double) throws(OptimizerError) -> Double {
    try step(learningRate: learningRate, normMax: nil)
  }
}

extension Double {
  /// Refuses a value of option `name` outside `range`.
  func require(_ name: String, in range: some RangeExpression<Double>) throws(OptimizerError) {
    guard isFinite, range.contains(self) else {
      throw OptimizerError(.invalidArgument, "optimizer: \(name) is \(self), must be in \(range)")
    }
  }
}
