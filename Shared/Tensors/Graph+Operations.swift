// The typed operations. Each checks the shapes of its operands and infers that of its result; an
// error names the operation and the shapes.
extension Graph {
  /// Rows of `table` `[vocabulary, columns]`, f32, picked by `ids` `[rows]`, u32.
  ///
  /// The table may be a value of live rows, so that ids of selected rows pick those.
  package mutating func embedding(
    table: Value,
    ids: Value
  ) throws(TensorError) -> Value {
    try check(
      self[table].shape.rank == 2 && self[table].dtype == .float32
        && self[ids].shape.rank == 1 && self[ids].dtype == .uint32,
      "embedding",
      [("table", table), ("ids", ids)]
    )
    let shape = try Shape([self[ids].shape[0], self[table].shape[1]])
    return try add(.embedding, [table, ids], shape: shape, live: self[ids].live)
  }

  /// `x` `[rows, k]` times the transpose of `weight` `[n, k]`, plus `bias` `[n]`: `[rows, n]`, f32.
  package mutating func linear(
    _ x: Value,
    weight: Value,
    bias: Value? = nil
  ) throws(TensorError) -> Value {
    let biases = bias.map { [$0] } ?? []
    let (left, right) = (self[x].shape, self[weight].shape)
    try check(
      left.rank == 2 && right.rank == 2 && left.columns == right.columns && self[weight].live == nil
        && biases.allSatisfy { self[$0].shape.dimensions == [right[0]] }
        && allFloat([x, weight] + biases),
      "linear",
      [("x", x), ("weight", weight)] + biases.map { ("bias", $0) }
    )
    return try add(
      .linear,
      [x, weight] + biases,
      shape: try Shape([left[0], right[0]]),
      live: self[x].live
    )
  }

  /// `lhs` `[m, k]` times `rhs` `[k, n]`, plus `addend`: `[m, n]`, f32.
  package mutating func matmul(
    _ lhs: Value,
    _ rhs: Value,
    addend: Value? = nil
  ) throws(TensorError) -> Value {
    let addends = addend.map { [$0] } ?? []
    let (left, right) = (self[lhs].shape, self[rhs].shape)
    try check(
      left.rank == 2 && right.rank == 2 && left.columns == right[0] && self[rhs].live == nil
        && addends.allSatisfy {
          self[$0].shape.dimensions == [left[0], right[1]] && self[$0].live == self[lhs].live
        } && allFloat([lhs, rhs] + addends),
      "matmul",
      [("lhs", lhs), ("rhs", rhs)] + addends.map { ("addend", $0) }
    )
    return try add(
      .matmul,
      [lhs, rhs] + addends,
      shape: try Shape([left[0], right[1]]),
      live: self[lhs].live
    )
  }

  /// `lhs + rhs`, f32, of the same shape; or `rhs` is one row `[n]` or `[1, n]`, added to each of
  /// `lhs` `[rows, n]`.
  package mutating func add(_ lhs: Value, _ rhs: Value) throws(TensorError) -> Value {
    try elementwise(.add, lhs, rhs)
  }

  /// `lhs * rhs` element by element, f32, with shapes as in `add`.
  package mutating func multiply(_ lhs: Value, _ rhs: Value) throws(TensorError) -> Value {
    try elementwise(.multiply, lhs, rhs)
  }

  /// Each row of `x` `[rows, n]` divided by its root mean square, times `weight` `[n]`, f32.
  package mutating func rmsNorm(
    _ x: Value,
    weight: Value,
    epsilon: Float
  ) throws(TensorError) -> Value {
    try check(
      self[x].shape.rank == 2 && self[weight].shape.dimensions == [self[x].shape.columns]
        && allFloat([x, weight]),
      "rmsNorm",
      [("x", x), ("weight", weight)]
    )
    return try map(.rmsNorm(epsilon: epsilon), x, [weight])
  }

  /// Each row of `x` `[rows, n]` normalized to mean 0 and variance 1, times `weight` plus `bias`
  /// `[n]`, f32.
  package mutating func layerNorm(
    _ x: Value,
    weight: Value,
    bias: Value,
    epsilon: Float
  ) throws(TensorError) -> Value {
    let columns = [self[x].shape.columns]
    try check(
      self[x].shape.rank == 2 && self[weight].shape.dimensions == columns
        && self[bias].shape.dimensions == columns && allFloat([x, weight, bias]),
      "layerNorm",
      [("x", x), ("weight", weight), ("bias", bias)]
    )
    return try map(.layerNorm(epsilon: epsilon), x, [weight, bias])
  }

  /// Cosines and sines `[rows, 2*n]` of `positions` `[rows]`, u32, times `frequencies` `[n]`, f32.
  package mutating func rotaryTable(
    positions: Value,
    frequencies: Value
  ) throws(TensorError) -> Value {
    try check(
      self[positions].shape.rank == 1 && self[positions].dtype == .uint32
        && self[frequencies].shape.rank == 1 && allFloat([frequencies]),
      "rotaryTable",
      [("positions", positions), ("frequencies", frequencies)]
    )
    return try add(
      .rotaryTable,
      [positions, frequencies],
      shape: try Shape([self[positions].shape[0], 2 * self[frequencies].shape[0]]),
      live: self[positions].live
    )
  }

  /// Rotates each head of `x` `[rows, heads*headDim]` by `table` `[rows, headDim]`, f32; with
  /// `isInverse` by the opposite angles.
  package mutating func rope(
    _ x: Value,
    table: Value,
    isInverse: Bool = false
  ) throws(TensorError) -> Value {
    try check(
      self[x].shape.rank == 2 && self[table].shape.rank == 2
        && self[x].shape[0] == self[table].shape[0] && self[x].live == self[table].live
        && self[table].shape.columns.isMultiple(of: 2)
        && self[x].shape.columns.isMultiple(of: self[table].shape.columns) && allFloat([x, table]),
      "rope",
      [("x", x), ("table", table)]
    )
    return try map(.rope(isInverse: isInverse), x, [table])
  }

  /// Appends `keys` and `values` `[rows, kvHeads*headDim]` to the sequence's cache and attends from
  /// `q` `[rows, heads*headDim]` to every cached position up to the row's own; f32.
  package mutating func cachedAttention(
    q: Value,
    keys: Value,
    values: Value,
    _ attention: CachedAttention
  ) throws(TensorError) -> Value {
    let (heads, kvHeads) = (attention.heads, attention.kvHeads)
    guard heads >= 1, kvHeads >= 1, heads.isMultiple(of: kvHeads), attention.layer >= 0,
      attention.contextTokens >= 1, attention.contextTokens <= Int(UInt32.max)
    else {
      throw TensorError(.invalidArgument, "cachedAttention: \(attention)")
    }
    let (query, key) = (self[q].shape, self[keys].shape)
    try check(
      query.rank == 2 && key == self[values].shape && key.rank == 2 && query[0] == key[0]
        && self[q].live == self[keys].live && self[q].live == self[values].live
        && query.columns.isMultiple(of: heads) && key.columns.isMultiple(of: kvHeads)
        && query.columns / heads == key.columns / kvHeads && allFloat([q, keys, values]),
      "cachedAttention \(heads)/\(kvHeads) heads",
      [("q", q), ("keys", keys), ("values", values)]
    )
    return try map(.cachedAttention(attention), q, [keys, values])
  }

  /// Attention from every row to every row: `q`, `keys`, `values` `[rows, heads*headDim]`, f32.
  package mutating func attention(
    q: Value,
    keys: Value,
    values: Value,
    heads: Int
  ) throws(TensorError) -> Value {
    let shape = self[q].shape
    try check(
      heads >= 1 && shape.rank == 2 && shape == self[keys].shape && shape == self[values].shape
        && self[q].live == self[keys].live && self[q].live == self[values].live
        && shape.columns.isMultiple(of: heads) && allFloat([q, keys, values]),
      "attention \(heads) heads",
      [("q", q), ("keys", keys), ("values", values)]
    )
    return try map(.attention(heads: heads), q, [keys, values])
  }

  /// `x * sigmoid(x)`, f32.
  package mutating func silu(_ x: Value) throws(TensorError) -> Value {
    try check(allFloat([x]), "silu", [("x", x)])
    return try map(.silu, x)
  }

  /// `silu(gate) * up`, f32, of the same shape.
  package mutating func siluMultiply(gate: Value, up: Value) throws(TensorError) -> Value {
    try check(
      self[gate].shape == self[up].shape && self[gate].live == self[up].live
        && allFloat([gate, up]),
      "siluMultiply",
      [("gate", gate), ("up", up)]
    )
    return try map(.siluMultiply, gate, [up])
  }

  /// The exact GELU of each element, f32.
  package mutating func gelu(_ x: Value) throws(TensorError) -> Value {
    try check(allFloat([x]), "gelu", [("x", x)])
    return try map(.gelu, x)
  }

  /// Softmax over the last dimension of `x`, f32.
  package mutating func softmax(_ x: Value) throws(TensorError) -> Value {
    try check(allFloat([x]) && self[x].shape.rank >= 1, "softmax", [("x", x)])
    return try map(.softmax, x)
  }

  /// Rows `range` of `x` `[rows, n]`, f32, whose rows are not live.
  package mutating func sliceRows(_ x: Value, _ range: Range<Int>) throws(TensorError) -> Value {
    let shape = self[x].shape
    try check(
      shape.rank == 2 && self[x].live == nil && range.lowerBound >= 0 && !range.isEmpty
        && range.upperBound <= shape[0] && allFloat([x]),
      "sliceRows \(range)",
      [("x", x)]
    )
    return try add(
      .sliceRows(range),
      [x],
      shape: try Shape([range.count, shape[1]]),
      live: nil
    )
  }

  /// The last live row of `x` `[rows, n]`, f32, as `[1, n]`.
  package mutating func lastRow(_ x: Value) throws(TensorError) -> Value {
    try check(self[x].shape.rank == 2 && allFloat([x]), "lastRow", [("x", x)])
    return try add(.lastRow, [x], shape: try Shape([1, self[x].shape[1]]), live: nil)
  }

  // MARK: What the operations share

  private mutating func elementwise(
    _ operation: Operation,
    _ lhs: Value,
    _ rhs: Value
  ) throws(TensorError) -> Value {
    let (left, right) = (self[lhs], self[rhs])
    let isSame = left.shape == right.shape && left.live == right.live
    let isRow =
      right.live == nil && right.shape.elementCount == right.shape.columns
      && right.shape.columns == left.shape.columns && right.shape.rank >= 1
    try check(
      (isSame || isRow) && allFloat([lhs, rhs]),
      operation.name,
      [("lhs", lhs), ("rhs", rhs)]
    )
    return try map(operation, lhs, [rhs])
  }
}
