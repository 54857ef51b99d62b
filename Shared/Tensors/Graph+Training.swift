// The operations that training graphs add to those of `Graph+Operations`.
extension Graph {
  /// The label of a row that `crossEntropy` passes over.
  package static let ignoredLabel = UInt32.max

  /// Columns `range` of `x` `[rows, n]`, f32: `[rows, range.count]`.
  package mutating func sliceColumns(
    _ x: Value,
    _ range: Range<Int>
  ) throws(TensorError) -> Value {
    let shape = self[x].shape
    try check(
      shape.rank == 2 && range.lowerBound >= 0 && !range.isEmpty
        && range.upperBound <= shape[1] && allFloat([x]),
      "sliceColumns \(range)",
      [("x", x)]
    )
    return try add(
      .sliceColumns(range),
      [x],
      shape: try Shape([shape[0], range.count]),
      live: self[x].live
    )
  }

  /// The hyperbolic tangent of each element, f32.
  package mutating func tanh(_ x: Value) throws(TensorError) -> Value {
    try check(allFloat([x]), "tanh", [("x", x)])
    return try map(.tanh, x)
  }

  /// Attention within the sequences of a packed batch, f32.
  ///
  /// From `q` `[rows, heads*headDim]` to `keys` and `values` `[rows, kvHeads*headDim]` of the rows
  /// `starts[r]..<ends[r]`, both `[rows]` u32: the first row of row r's sequence and the one past
  /// its last. With dropout, `seed` `[2]` u32 selects the mask.
  ///
  /// A run throws `invalidArgument`, before anything runs, when the sequences do not tile the live
  /// rows or one is longer than `sequenceTokensMax`.
  package mutating func packedAttention(
    q: Value,
    keys: Value,
    values: Value,
    starts: Value,
    ends: Value,
    seed: Value? = nil,
    _ attention: PackedAttention
  ) throws(TensorError) -> Value {
    let (heads, kvHeads) = (attention.heads, attention.kvHeads)
    guard heads >= 1, kvHeads >= 1, heads.isMultiple(of: kvHeads),
      attention.sequenceTokensMax >= 1, attention.sequenceTokensMax <= Int(Int32.max)
    else { throw TensorError(.invalidArgument, "packedAttention: \(attention)") }
    if let dropout = attention.dropout { try check(dropout, "packedAttention", seed: seed) }
    let (query, key) = (self[q].shape, self[keys].shape)
    let isSameLive = [keys, values, starts, ends].allSatisfy { self[$0].live == self[q].live }
    try check(
      query.rank == 2 && key.rank == 2 && key == self[values].shape && query[0] == key[0]
        && query.columns.isMultiple(of: heads) && key.columns.isMultiple(of: kvHeads)
        && query.columns / heads == key.columns / kvHeads && isSameLive
        && [starts, ends].allSatisfy { isInput($0, rows: query[0]) }
        && allFloat([q, keys, values]),
      "packedAttention \(heads)/\(kvHeads) heads",
      [("q", q), ("keys", keys), ("values", values), ("starts", starts), ("ends", ends)]
    )
    let seeds = attention.dropout == nil ? [] : seed.map { [$0] } ?? []
    return try map(.packedAttention(attention), q, [keys, values, starts, ends] + seeds)
  }

  /// `x` `[rows, n]`, f32, with each element 0 with the given probability, and else divided by one
  /// minus it.
  ///
  /// Which elements become 0 depends on `seed` `[2]` u32, the stream, the row and the column alone:
  /// the reverse pass computes the mask again.
  package mutating func dropout(
    _ x: Value,
    seed: Value,
    _ dropout: Dropout
  ) throws(TensorError) -> Value {
    try check(dropout, "dropout", seed: seed)
    try check(self[x].shape.rank == 2 && allFloat([x]), "dropout", [("x", x)])
    return try map(.dropout(dropout), x, [seed])
  }

  /// The sum over the rows of `-log softmax(logits)[label]`, times `scale` `[1]`: `[1]`, f32.
  ///
  /// `logits` `[rows, classes]`, f32; `labels` `[rows]`, u32. Rows with `ignoredLabel` count 0. A
  /// run throws `indexOutOfRange`, before anything runs, for another label that is not a class.
  package mutating func crossEntropy(
    logits: Value,
    labels: Value,
    scale: Value
  ) throws(TensorError) -> Value {
    try check(
      self[logits].shape.rank == 2 && isInput(labels, rows: self[logits].shape[0])
        && self[labels].live == self[logits].live && self[scale].shape.dimensions == [1]
        && allFloat([logits, scale]),
      "crossEntropy",
      [("logits", logits), ("labels", labels), ("scale", scale)]
    )
    return try add(
      .crossEntropy,
      [logits, labels, scale],
      shape: self[scale].shape,
      live: nil
    )
  }

  /// Integers are checked before a run, when only inputs hold data.
  private func isInput(_ value: Value, rows: Int) -> Bool {
    guard case .input = self[value].operation else { return false }
    return self[value].dtype == .uint32 && self[value].shape.dimensions == [rows]
  }

  private func check(
    _ dropout: Dropout,
    _ name: String,
    seed: Value?
  ) throws(TensorError) {
    guard dropout.probability >= 0, dropout.probability < 1 else {
      throw TensorError(
        .invalidArgument,
        "\(name): dropout probability \(dropout.probability) is not in 0..<1"
      )
    }
    guard let seed else { throw TensorError(.invalidArgument, "\(name): dropout without a seed") }
    try check(
      self[seed].dtype == .uint32 && self[seed].shape.dimensions == [2] && self[seed].live == nil,
      name,
      [("seed", seed)]
    )
  }
}
