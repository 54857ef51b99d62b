extension Graph {
  /// Adds the nodes of the reverse pass for the scalar `loss`.
  ///
  /// A run then adds the gradient of each constant in `parameters` (by constant index) to the given
  /// f32 tensor of the same shape; the caller sets it to zero beforehand. The gradients of `inputs`
  /// are returned as values of their shapes. The forward nodes are not changed.
  ///
  /// Reverse-mode differentiation over the array of nodes: they are walked by index from the loss
  /// back, so its depth is no concern (Griewank and Walther, "Evaluating Derivatives", 2008, ch. 3).
  /// Sums follow the order of the nodes, so results do not depend on threads.
  ///
  /// Throws `invalidArgument` when a gradient is asked through an operation without one, when the
  /// loss does not depend on one of `inputs`, and `shapeMismatch` for a loss that is no scalar or a
  /// gradient tensor that does not fit.
  package mutating func differentiate(
    _ loss: Value,
    parameters: [Int: Tensor],
    inputs: [Value] = []
  ) throws(TensorError) -> [Value] {
    guard self[loss].shape.elementCount == 1, self[loss].live == nil, allFloat([loss]) else {
      throw TensorError(.shapeMismatch, "differentiate: the loss is \(self[loss].shape)")
    }
    try check(parameters: parameters)
    for input in inputs where self[input].dtype != .float32 {
      throw TensorError(
        .invalidArgument,
        "differentiate: a gradient of \(self[input].dtype.rawValue) \(self[input].shape)"
      )
    }
    var reverse = ReversePass(
      isNeeded: dependents(parameters: parameters, inputs: inputs),
      parameters: parameters,
      gradients: [Value?](repeating: nil, count: loss.index + 1)
    )
    let one = try Tensor(name: "one", shape: self[loss].shape, values: [1])
    reverse.gradients[loss.index] = try constant(one)
    for index in (0...loss.index).reversed() where reverse.isNeeded[index] {
      guard let gradient = reverse.gradients[index] else { continue }
      try addGradients(of: Value(index: index), gradient, &reverse)
    }
    var results: [Value] = []
    for input in inputs {
      guard input.index < reverse.gradients.count, let gradient = reverse.gradients[input.index]
      else {
        throw TensorError(
          .invalidArgument,
          "differentiate: the loss does not depend on \(self[input].operation.name) "
            + "\(self[input].shape)"
        )
      }
      results.append(gradient)
    }
    return results
  }

  private func check(parameters: [Int: Tensor]) throws(TensorError) {
    for (index, gradient) in parameters.sorted(by: { $0.key < $1.key }) {
      guard constants.indices.contains(index), constants[index].dtype == .float32,
        gradient.dtype == .float32, gradient.shape == constants[index].shape
      else {
        let found =
          constants.indices.contains(index)
          ? "\(constants[index].name) \(constants[index].shape)" : "no constant \(index)"
        throw TensorError(
          .shapeMismatch,
          "differentiate: gradient \(gradient.name) \(gradient.shape) for \(found)"
        )
      }
    }
  }

  /// Which nodes depend on what is differentiated by.
  private func dependents(parameters: [Int: Tensor], inputs: [Value]) -> [Bool] {
    var result = [Bool](repeating: false, count: nodes.count)
    for input in inputs { result[input.index] = true }
    for (index, node) in nodes.enumerated() {
      if case .constant(let constant) = node.operation, parameters[constant] != nil {
        result[index] = true
      }
      if node.inputs.contains(where: { result[$0.index] }) { result[index] = true }
    }
    return result
  }
}

/// The state of one reverse pass.
struct ReversePass {
  /// By index of the forward node: whether its gradient is wanted.
  let isNeeded: [Bool]
  /// The tensors that gradients are added to, by constant index.
  let parameters: [Int: Tensor]
  /// By index of the forward node: the sum of the gradients so far.
  var gradients: [Value?]

  /// Whether `value` is differentiated.
  func needs(_ value: Value) -> Bool { isNeeded[value.index] }
}

extension Graph {
  /// Adds `gradient`, of the shape of `value`, to what the reverse pass has for `value`.
  ///
  /// A parameter's goes to its tensor: at once if the node that made it can add, and nobody else
  /// reads it, else by one more node.
  mutating func contribute(
    _ gradient: Value,
    to value: Value,
    _ reverse: inout ReversePass,
    isShared: Bool = false
  ) throws(TensorError) {
    precondition(self[gradient].shape == self[value].shape)
    precondition(self[gradient].live == self[value].live)
    if case .constant(let index) = self[value].operation, let tensor = reverse.parameters[index] {
      let isFree = !isShared && self[gradient].destination == nil
      if isFree, self[gradient].operation.canAccumulate {
        bind(gradient, to: tensor)
      } else {
        bind(try map(.accumulate, gradient), to: tensor)
      }
      return
    }
    if let sum = reverse.gradients[value.index] {
      if isShared || !addInProduct(gradient, sum) {
        reverse.gradients[value.index] = try add(sum, gradient)
      } else {
        reverse.gradients[value.index] = gradient
      }
    } else {
      reverse.gradients[value.index] = gradient
    }
  }
}
