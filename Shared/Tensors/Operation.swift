/// What a node of the graph computes.
///
/// All floating-point values are f32.
package enum Operation: Sendable, Hashable {
  /// Data of the call, by index of the graph's inputs.
  case input(Int)
  /// A weight, by index of the graph's constants.
  case constant(Int)
  /// Rows of table `[vocabulary, columns]` by ids `[rows]` (u32).
  case embedding
  /// x `[rows, k]` times the transpose of weight `[n, k]`, plus bias `[n]` if there is a third
  /// input: the layout of checkpoints.
  case linear
  /// lhs `[m, k]` times rhs `[k, n]`.
  case matmul
  /// Element-wise sum; the right side may be one row, which is added to each.
  case add
  /// Element-wise product; the right side may be one row.
  case multiply
  /// x `[rows, n]`, weight `[n]`.
  case rmsNorm(epsilon: Float)
  /// x `[rows, n]`, weight `[n]`, bias `[n]`.
  case layerNorm(epsilon: Float)
  /// Positions `[rows]` (u32) and frequencies `[headDim/2]` to cosines and sines
  /// `[rows, headDim]`.
  case rotaryTable
  /// Rotates x `[rows, heads*headDim]` by a table `[rows, headDim]`.
  case rope
  /// Appends keys and values `[rows, kvHeads*headDim]` to a layer of the sequence's cache and
  /// attends from q `[rows, heads*headDim]` to all positions up to the row's own.
  case cachedAttention(CachedAttention)
  /// Full attention among q, k, v `[rows, heads*headDim]`.
  case attention(heads: Int)
  /// x * sigmoid(x).
  case silu
  /// silu(gate) * up, the gate of SwiGLU.
  case siluMultiply
  /// The exact GELU (by erf).
  case gelu
  /// Over the last dimension.
  case softmax
  /// Rows of a two-dimensional value.
  case sliceRows(Range<Int>)
  /// The last live row, as `[1, n]`.
  case lastRow

  /// The name in error messages and reports.
  package var name: String {
    switch self {
    case .input: "input"
    case .constant: "constant"
    case .embedding: "embedding"
    case .linear: "linear"
    case .matmul: "matmul"
    case .add: "add"
    case .multiply: "multiply"
    case .rmsNorm: "rmsNorm"
    case .layerNorm: "layerNorm"
    case .rotaryTable: "rotaryTable"
    case .rope: "rope"
    case .cachedAttention: "cachedAttention"
    case .attention: "attention"
    case .silu: "silu"
    case .siluMultiply: "siluMultiply"
    case .gelu: "gelu"
    case .softmax: "softmax"
    case .sliceRows: "sliceRows"
    case .lastRow: "lastRow"
    }
  }

  /// Whether running the node changes more than its own output, so that it must run even when
  /// nobody reads that output.
  package var hasSideEffect: Bool {
    if case .cachedAttention = self { return true }
    return false
  }
}

/// The constants of an attention over the key-value cache.
package struct CachedAttention: Sendable, Hashable {
  /// The layer of the cache that it appends to and reads.
  package var layer: Int
  /// Query heads.
  package var heads: Int
  /// Key and value heads; divides `heads` (grouped-query attention).
  package var kvHeads: Int
  /// The longest sequence, in tokens: the size of the scratch for scores.
  package var contextTokens: Int

  /// Makes the constants; the graph checks them.
  package init(layer: Int, heads: Int, kvHeads: Int, contextTokens: Int) {
    self.layer = layer
    self.heads = heads
    self.kvHeads = kvHeads
    self.contextTokens = contextTokens
  }
}
