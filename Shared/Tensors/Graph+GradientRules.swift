// One rule per operation: from the gradient of its output to those of its inputs.
extension Graph {
  /// Adds the nodes that bring the gradient `g` of `value`'s output to its inputs.
  ///
  /// Only for inputs that are needed.
  mutating func addGradients(
    of value: Value,
    _ g: Value,
    _ reverse: inout ReversePass
  ) throws(TensorError) {
    let node = self[value]
    let inputs = node.inputs
    switch node.operation {
    case .input, .constant: return
    case .embedding:
      try only([0], of: node, reverse)
      let scattered = try embeddingGradient(g, ids: inputs[1], table: inputs[0])
      try contribute(scattered, to: inputs[0], &reverse)
    case .linear: try addLinearGradients(node, g, &reverse)
    case .matmul: try addMatmulGradients(node, g, &reverse)
    case .add:
      if reverse.needs(inputs[0]) {
        try contribute(g, to: inputs[0], &reverse, isShared: true)
      }
      if reverse.needs(inputs[1]) { try contributeRow(g, to: inputs[1], &reverse) }
    case .multiply:
      if reverse.needs(inputs[0]) {
        try contribute(try multiply(g, inputs[1]), to: inputs[0], &reverse)
      }
      if reverse.needs(inputs[1]) {
        try contributeRow(try multiply(g, inputs[0]), to: inputs[1], &reverse)
      }
    case .rmsNorm(let epsilon):
      try addNormGradients(node, Norm(epsilon: epsilon, isCentered: false), g, &reverse)
    case .layerNorm(let epsilon):
      try addNormGradients(node, Norm(epsilon: epsilon, isCentered: true), g, &reverse)
    case .rope(let isInverse):
      try only([0], of: node, reverse)
      let rotated = try rope(g, table: inputs[1], isInverse: !isInverse)
      try contribute(rotated, to: inputs[0], &reverse)
    case .silu: try contribute(try map(.siluGradient, g, inputs), to: inputs[0], &reverse)
    case .siluMultiply:
      if reverse.needs(inputs[0]) {
        try contribute(try map(.siluGradient, g, inputs), to: inputs[0], &reverse)
      }
      if reverse.needs(inputs[1]) {
        try contribute(try siluMultiply(gate: inputs[0], up: g), to: inputs[1], &reverse)
      }
    case .gelu: try contribute(try map(.geluGradient, g, inputs), to: inputs[0], &reverse)
    case .tanh: try contribute(try map(.tanhGradient, g, [value]), to: inputs[0], &reverse)
    case .softmax:
      try contribute(try map(.softmaxGradient, g, [value]), to: inputs[0], &reverse)
    case .sliceRows, .sliceColumns, .lastRow:
      try contribute(try sliceGradient(node, g), to: inputs[0], &reverse)
    case .packedAttention(let attention):
      try addAttentionGradients(node, attention, g, &reverse)
    case .dropout(let constants):
      // The mask depends on the place and the seed alone, so it is the same.
      try contribute(try dropout(g, seed: inputs[1], constants), to: inputs[0], &reverse)
    case .crossEntropy:
      try only([0], of: node, reverse)
      let gradient = try add(
        .crossEntropyGradient,
        [g] + inputs,
        shape: self[inputs[0]].shape,
        live: self[inputs[0]].live
      )
      try contribute(gradient, to: inputs[0], &reverse)
    case .rotaryTable, .cachedAttention, .attention, .matmulTransposed, .sumRows, .accumulate,
      .embeddingGradient, .normGradient, .normWeightGradient, .siluGradient, .geluGradient,
      .tanhGradient, .softmaxGradient, .sliceRowsGradient, .lastRowGradient,
      .sliceColumnsGradient, .packedAttentionGradient, .crossEntropyGradient:
      throw TensorError(
        .invalidArgument,
        "differentiate: \(node.operation.name) has no gradient"
          + (Graph.alternatives[node.operation.name].map { "; use \($0)" } ?? "")
      )
    }
  }

  /// What training graphs use instead of operations that only inference knows.
  private static let alternatives = [
    "attention": "packedAttention", "cachedAttention": "packedAttention",
  ]

  /// Checks that no input but those at `positions` is differentiated.
  private func only(
    _ positions: Set<Int>,
    of node: Node,
    _ reverse: ReversePass
  ) throws(TensorError) {
    for (position, input) in node.inputs.enumerated()
    where reverse.needs(input) && !positions.contains(position) {
      throw TensorError(
        .invalidArgument,
        "differentiate: \(node.operation.name) has no gradient for its input \(position), "
          + "\(self[input].operation.name) \(self[input].shape)"
      )
    }
  }

  /// y = x Wᵀ + b: dx = g W, dW = gᵀ x, db = the sum of g's rows.
  private mutating func addLinearGradients(
    _ node: Node,
    _ g: Value,
    _ reverse: inout ReversePass
  ) throws(TensorError) {
    let (x, weight) = (node.inputs[0], node.inputs[1])
    if reverse.needs(weight) {
      try contribute(try matmulTransposed(g, x), to: weight, &reverse)
    }
    if node.inputs.count > 2, reverse.needs(node.inputs[2]) {
      let sum = try sumRows(g, shape: self[node.inputs[2]].shape)
      try contribute(sum, to: node.inputs[2], &reverse)
    }
    if reverse.needs(x) { try contribute(try matmul(g, weight), to: x, &reverse) }
  }

  /// y = a b + c: da = g bᵀ, db = aᵀ g, dc = g.
  private mutating func addMatmulGradients(
    _ node: Node,
    _ g: Value,
    _ reverse: inout ReversePass
  ) throws(TensorError) {
    let (lhs, rhs) = (node.inputs[0], node.inputs[1])
    if reverse.needs(rhs) { try contribute(try matmulTransposed(lhs, g), to: rhs, &reverse) }
    if reverse.needs(lhs) { try contribute(try linear(g, weight: rhs), to: lhs, &reverse) }
    if node.inputs.count > 2, reverse.needs(node.inputs[2]) {
      try contribute(g, to: node.inputs[2], &reverse, isShared: true)
    }
  }

  private mutating func addNormGradients(
    _ node: Node,
    _ norm: Norm,
    _ g: Value,
    _ reverse: inout ReversePass
  ) throws(TensorError) {
    let (x, weight) = (node.inputs[0], node.inputs[1])
    if reverse.needs(weight) {
      let gradient = try add(
        .normWeightGradient(norm),
        [g, x],
        shape: self[weight].shape,
        live: nil
      )
      try contribute(gradient, to: weight, &reverse)
    }
    if node.inputs.count > 2, reverse.needs(node.inputs[2]) {
      let sum = try sumRows(g, shape: self[node.inputs[2]].shape)
      try contribute(sum, to: node.inputs[2], &reverse)
    }
    if reverse.needs(x) {
      try contribute(try map(.normGradient(norm), g, [x, weight]), to: x, &reverse)
    }
  }

  /// One node computes all three, because they share the probabilities.
  private mutating func addAttentionGradients(
    _ node: Node,
    _ attention: PackedAttention,
    _ g: Value,
    _ reverse: inout ReversePass
  ) throws(TensorError) {
    let columns = node.inputs[..<3].map { self[$0].shape.columns }
    let packed = try add(
      .packedAttentionGradient(attention),
      [g] + node.inputs,
      shape: try Shape([node.shape[0], columns.reduce(0, +)]),
      live: node.live
    )
    var start = 0
    for (input, count) in zip(node.inputs, columns) {
      defer { start += count }
      guard reverse.needs(input) else { continue }
      try contribute(try sliceColumns(packed, start..<start + count), to: input, &reverse)
    }
  }

  private mutating func sliceGradient(_ node: Node, _ g: Value) throws(TensorError) -> Value {
    let x = self[node.inputs[0]]
    let operation: Operation
    switch node.operation {
    case .sliceRows(let range): operation = .sliceRowsGradient(range)
    case .sliceColumns(let range): operation = .sliceColumnsGradient(range)
    default: operation = .lastRowGradient
    }
    return try add(operation, [g], shape: x.shape, live: x.live)
  }

  /// Contributes `g` to the right side of an element-wise operation: summed over the rows when it
  /// is one row.
  private mutating func contributeRow(
    _ g: Value,
    to value: Value,
    _ reverse: inout ReversePass
  ) throws(TensorError) {
    if self[g].shape == self[value].shape, self[g].live == self[value].live {
      try contribute(g, to: value, &reverse, isShared: true)
    } else {
      try contribute(try sumRows(g, shape: self[value].shape), to: value, &reverse)
    }
  }

  // MARK: The operations that rules need

  /// The transpose of `lhs` `[rows, n]` times `rhs` `[rows, k]`: `[n, k]`, f32.
  package mutating func matmulTransposed(
    _ lhs: Value,
    _ rhs: Value
  ) throws(TensorError) -> Value {
    let (left, right) = (self[lhs].shape, self[rhs].shape)
    try check(
      left.rank == 2 && right.rank == 2 && left[0] == right[0]
        && self[lhs].live == self[rhs].live && allFloat([lhs, rhs]),
      "matmulTransposed",
      [("lhs", lhs), ("rhs", rhs)]
    )
    return try add(
      .matmulTransposed,
      [lhs, rhs],
      shape: try Shape([left[1], right[1]]),
      live: nil
    )
  }

  /// The sum of the rows of `x` `[rows, n]`, f32, as `shape`, which has n elements.
  package mutating func sumRows(_ x: Value, shape: Shape) throws(TensorError) -> Value {
    try check(
      self[x].shape.rank == 2 && shape.elementCount == self[x].shape.columns && allFloat([x]),
      "sumRows to \(shape)",
      [("x", x)]
    )
    return try add(.sumRows, [x], shape: shape, live: nil)
  }

  /// The gradient of an embedding's table.
  private mutating func embeddingGradient(
    _ g: Value,
    ids: Value,
    table: Value
  ) throws(TensorError) -> Value {
    try add(.embeddingGradient, [g, ids], shape: self[table].shape, live: self[table].live)
  }
}
