internal import Tensors

/// The graph of a model under construction, and the form of the batch that it is for.
///
/// Layers are written once: what differs between inference and training (where rows find the rows
/// that they attend to, and dropout) is decided here.
struct ModelGraph {
  /// How the rows of a call belong together.
  private enum Form {
    /// All rows are one sequence; a decoder's continues that of its cache.
    case sequence
    /// Several sequences one after another.
    case packed(PackedForm)
  }

  private struct PackedForm {
    let starts: Value
    let ends: Value
    let seed: Value
    /// The rows that the loss reads; nil for all.
    let selected: Value?
    let sequenceTokensMax: Int
    let dropout: Float
  }

  /// The indices of the inputs of a packed graph.
  enum Input: Int {
    case tokens, positions, starts, ends, labels, seed, scale, selected
  }

  var graph = Graph()
  /// Token ids `[rows]`, u32, live.
  let tokens: Value
  /// Positions in their sequences `[rows]`, u32, live.
  let positions: Value
  private let form: Form
  private let labels: Value?
  private let scale: Value?
  /// Dropouts so far; each has a stream of its own.
  private var streams: UInt32 = 0

  /// A graph for one sequence of at most `rows` tokens.
  init(rows: Int) throws(TensorError) {
    tokens = try graph.input(dtype: .uint32, shape: try Shape([rows]), live: .all)
    positions = try graph.input(dtype: .uint32, shape: try Shape([rows]), live: .all)
    (form, labels, scale) = (.sequence, nil, nil)
  }

  /// A graph for sequences of at most `sequenceTokensMax` tokens each and `rows` together, with the
  /// inputs of `Input` and dropout of the given probability.
  ///
  /// With `selectsRows`, labels and logits are those of the selected rows alone.
  init(
    rows: Int,
    sequenceTokensMax: Int,
    dropout: Float,
    selectsRows: Bool
  ) throws(TensorError) {
    let shape = try Shape([rows])
    tokens = try graph.input(dtype: .uint32, shape: shape, live: .all)
    positions = try graph.input(dtype: .uint32, shape: shape, live: .all)
    let starts = try graph.input(dtype: .uint32, shape: shape, live: .all)
    let ends = try graph.input(dtype: .uint32, shape: shape, live: .all)
    labels = try graph.input(dtype: .uint32, shape: shape, live: selectsRows ? .selected : .all)
    let seed = try graph.input(dtype: .uint32, shape: try Shape([2]))
    scale = try graph.input(dtype: .float32, shape: try Shape([1]))
    let selected = try graph.input(dtype: .uint32, shape: shape, live: .selected)
    form = .packed(
      PackedForm(
        starts: starts,
        ends: ends,
        seed: seed,
        selected: selectsRows ? selected : nil,
        sequenceTokensMax: sequenceTokensMax,
        dropout: dropout
      )
    )
  }

  /// Of a decoder's `x` `[rows, n]` the rows whose logits are wanted: the last of a sequence, the
  /// selected ones of a packed batch.
  ///
  /// After the last attention rows are independent of each other, so that the others need not be
  /// computed.
  mutating func wantedRows(ofDecoder x: Value) throws(TensorError) -> Value {
    if case .sequence = form { return try graph.lastRow(x) }
    return try wantedRows(x)
  }

  /// Of an encoder's `x` the rows whose logits are wanted: all of a sequence, the selected ones of
  /// a packed batch.
  mutating func wantedRows(_ x: Value) throws(TensorError) -> Value {
    guard case .packed(let packed) = form, let selected = packed.selected else { return x }
    return try graph.embedding(table: x, ids: selected)
  }

  /// `x` with dropout when the graph trains, else `x`.
  mutating func dropout(_ x: Value) throws(TensorError) -> Value {
    guard case .packed(let packed) = form, let dropout = nextDropout(packed) else { return x }
    return try graph.dropout(x, seed: packed.seed, dropout)
  }

  private mutating func nextDropout(_ packed: PackedForm) -> Dropout? {
    guard packed.dropout > 0 else { return nil }
    defer { streams += 1 }
    return Dropout(probability: packed.dropout, stream: streams)
  }

  /// A decoder's attention: from each row to those of its sequence up to itself.
  ///
  /// q `[rows, heads*headSize]`, keys and values `[rows, kvHeads*headSize]`.
  mutating func causalAttention(
    q: Value,
    keys: Value,
    values: Value,
    _ attention: CachedAttention
  ) throws(TensorError) -> Value {
    guard case .packed(let packed) = form else {
      return try graph.cachedAttention(q: q, keys: keys, values: values, attention)
    }
    return try graph.packedAttention(
      q: q,
      keys: keys,
      values: values,
      starts: packed.starts,
      ends: packed.ends,
      PackedAttention(
        heads: attention.heads,
        kvHeads: attention.kvHeads,
        isCausal: true,
        sequenceTokensMax: packed.sequenceTokensMax
      )
    )
  }

  /// An encoder's attention: from each row to all of its sequence, with dropout of the
  /// probabilities when the graph trains; q, keys and values `[rows, heads*headSize]`.
  mutating func fullAttention(
    q: Value,
    keys: Value,
    values: Value,
    heads: Int
  ) throws(TensorError) -> Value {
    guard case .packed(let packed) = form else {
      return try graph.attention(q: q, keys: keys, values: values, heads: heads)
    }
    return try graph.packedAttention(
      q: q,
      keys: keys,
      values: values,
      starts: packed.starts,
      ends: packed.ends,
      seed: packed.seed,
      PackedAttention(
        heads: heads,
        kvHeads: heads,
        isCausal: false,
        sequenceTokensMax: packed.sequenceTokensMax,
        dropout: nextDropout(packed)
      )
    )
  }

  /// The scaled sum of the labelled rows' cross entropies `[1]`; only in packed graphs.
  mutating func loss(logits: Value) throws(TensorError) -> Value {
    guard let labels, let scale else { preconditionFailure("a packed graph has labels") }
    return try graph.crossEntropy(logits: logits, labels: labels, scale: scale)
  }
}
