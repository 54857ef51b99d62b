/// What a node of the graph computes.
///
/// All floating-point values are f32.
package enum Operation: Sendable, Hashable {
  /// Data of the call, by index of the graph's inputs.
  case input(Int)
  /// A weight, by index of the graph's constants.
  case constant(Int)
  /// Rows of table `[vocabulary, columns]`, or of another value, by ids `[rows]` (u32).
  case embedding
  /// x `[rows, k]` times the transpose of weight `[n, k]`, plus bias `[n]` if there is a third
  /// input: the layout of checkpoints.
  case linear
  /// lhs `[m, k]` times rhs `[k, n]`, plus `[m, n]` if there is a third input.
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
  /// Rotates x `[rows, heads*headDim]` by a table `[rows, headDim]`, or back.
  case rope(isInverse: Bool)
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

  /// Columns of a two-dimensional value.
  case sliceColumns(Range<Int>)
  /// The hyperbolic tangent of each element.
  case tanh
  /// Attention within the sequences of a packed batch: q `[rows, heads*headDim]`, keys and values
  /// `[rows, kvHeads*headDim]`, starts and ends `[rows]` (u32), and with dropout a seed `[2]` (u32).
  case packedAttention(PackedAttention)
  /// x with a random part of its elements 0 and the others scaled up; seed `[2]` (u32).
  case dropout(Dropout)
  /// Logits `[rows, classes]`, labels `[rows]` (u32) and a scale `[1]` to the scaled sum of the
  /// rows' negative log likelihoods `[1]`.
  case crossEntropy

  // The operations of the reverse pass; `g` is the gradient of the differentiated node's output.

  /// The transpose of lhs `[rows, n]` times rhs `[rows, k]`: `[n, k]`.
  case matmulTransposed
  /// The sum of the rows of x.
  case sumRows
  /// x, for a node that adds it to a destination.
  case accumulate
  /// g `[rows, columns]` and ids `[rows]` (u32), scattered and summed: `[vocabulary, columns]`.
  case embeddingGradient
  /// g, x, weight to the gradient of a norm's x.
  case normGradient(Norm)
  /// g, x to the gradient of a norm's weight.
  case normWeightGradient(Norm)
  /// g, x to the gradient of silu's x; times a third input if there is one.
  case siluGradient
  /// g, x to the gradient of gelu's x.
  case geluGradient
  /// g and tanh's output to the gradient of its x.
  case tanhGradient
  /// g and softmax's output to the gradient of its x.
  case softmaxGradient
  /// g as rows of a larger value that is 0 elsewhere.
  case sliceRowsGradient(Range<Int>)
  /// g as the last live row of a value that is 0 elsewhere.
  case lastRowGradient
  /// g as columns of a larger value that is 0 elsewhere.
  case sliceColumnsGradient(Range<Int>)
  /// g and the inputs of packedAttention to the gradients of q, keys and values, side by side:
  /// `[rows, (heads+2*kvHeads)*headDim]`.
  case packedAttentionGradient(PackedAttention)
  /// g `[1]` and the inputs of crossEntropy to the gradient of its logits.
  case crossEntropyGradient

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
    case .sliceColumns: "sliceColumns"
    case .tanh: "tanh"
    case .packedAttention: "packedAttention"
    case .dropout: "dropout"
    case .crossEntropy: "crossEntropy"
    case .matmulTransposed: "matmulTransposed"
    case .sumRows: "sumRows"
    case .accumulate: "accumulate"
    case .embeddingGradient: "embeddingGradient"
    case .normGradient: "normGradient"
    case .normWeightGradient: "normWeightGradient"
    case .siluGradient: "siluGradient"
    case .geluGradient: "geluGradient"
    case .tanhGradient: "tanhGradient"
    case .softmaxGradient: "softmaxGradient"
    case .sliceRowsGradient: "sliceRowsGradient"
    case .lastRowGradient: "lastRowGradient"
    case .sliceColumnsGradient: "sliceColumnsGradient"
    case .packedAttentionGradient: "packedAttentionGradient"
    case .crossEntropyGradient: "crossEntropyGradient"
    }
  }

  /// Whether running the node changes more than its own output, so that it must run even when
  /// nobody reads that output.
  package var hasSideEffect: Bool {
    if case .cachedAttention = self { return true }
    return false
  }

  /// Whether its inputs hold integers that must be checked before a run.
  var readsIntegers: Bool {
    switch self {
    case .embedding, .packedAttention, .crossEntropy: true
    default: false
    }
  }

  /// Whether a node of it can add its output to a destination; others write it.
  package var canAccumulate: Bool {
    switch self {
    case .matmulTransposed, .sumRows, .accumulate, .embeddingGradient, .normWeightGradient,
      .sliceRowsGradient:
      true
    default: false
    }
  }
}
