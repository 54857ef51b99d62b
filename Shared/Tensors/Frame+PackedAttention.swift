internal import CKernels
internal import COpenBLAS

extension Frame {
  /// Rows among which the sequences of one task begin.
  ///
  /// Tasks are whole sequences of one head, so they depend on the data alone.
  static let packedRows = 64

  /// Checks that the sequences tile the rows.
  func checkSequences(_ attention: PackedAttention) throws(TensorError) {
    let (starts, ends) = (integers(3), integers(4))
    var row = 0
    while row < rows {
      let end = Int(ends[row])
      guard Int(starts[row]) == row, end > row, end <= rows else {
        throw sequenceError(row, "a sequence must start there and end in \(row + 1)...\(rows)")
      }
      guard end - row <= attention.sequenceTokensMax else {
        throw sequenceError(row, "the longest sequence is \(attention.sequenceTokensMax)")
      }
      for other in row..<end where Int(starts[other]) != row || Int(ends[other]) != end {
        throw sequenceError(other, "it is in the sequence \(row)..<\(end)")
      }
      row = end
    }
  }

  private func sequenceError(_ row: Int, _ reason: String) -> TensorError {
    TensorError(
      .invalidArgument,
      "packedAttention: row \(row) has start \(integers(3)[row]), end \(integers(4)[row]): \(reason)"
    )
  }

  /// One head's attention in the sequences that begin in one block of rows.
  func attendPacked(_ attention: PackedAttention, _ task: Int, thread: Int) {
    // Heads of the same rows one after another: their elements lie side by side.
    let (block, head) = (task / attention.heads, task % attention.heads)
    let headDim = step.columns / attention.heads
    let kvHead = head / (attention.heads / attention.kvHeads)
    let kvStride = attention.kvHeads * headDim
    let dropout = attention.dropout.map { ck_dropout($0, seed: integers(5)) }
    forEachSequence(block: block, starts: integers(3), ends: integers(4)) { start, count in
      let query = start * step.columns + head * headDim
      let key = start * kvStride + kvHead * headDim
      let sequence = PackedHead(
        q: x + query,
        keys: y + key,
        values: z + key,
        stride: step.columns,
        kvStride: kvStride,
        headDim: headDim,
        count: count,
        isCausal: attention.isCausal,
        dropout: dropout,
        firstMaskRow: start * attention.heads + head,
        maskRowStep: attention.heads
      )
      sequence.attend(out + query, scratch(thread: thread))
    }
  }

  /// The gradients of one key-value head and of the query heads that share it.
  func attendPackedGradient(_ attention: PackedAttention, _ task: Int, thread: Int) {
    let (block, kvHead) = (task / attention.kvHeads, task % attention.kvHeads)
    let stride = step.xColumns
    let headDim = stride / attention.heads
    let kvStride = attention.kvHeads * headDim
    let group = attention.heads / attention.kvHeads
    let (q, keys, values) = (operand(1), operand(2), operand(3))
    let dropout = attention.dropout.map { ck_dropout($0, seed: integers(6)) }
    forEachSequence(block: block, starts: integers(4), ends: integers(5)) { start, count in
      let key = start * kvStride + kvHead * headDim
      let packed = out + start * step.columns
      for head in kvHead * group..<(kvHead + 1) * group {
        let query = start * stride + head * headDim
        let sequence = PackedHead(
          q: q + query,
          keys: keys + key,
          values: values + key,
          stride: stride,
          kvStride: kvStride,
          headDim: headDim,
          count: count,
          isCausal: attention.isCausal,
          dropout: dropout,
          firstMaskRow: start * attention.heads + head,
          maskRowStep: attention.heads
        )
        sequence.differentiate(
          g: x + query,
          dq: packed + head * headDim,
          dKeys: packed + stride + kvHead * headDim,
          dValues: packed + stride + kvStride + kvHead * headDim,
          outStride: step.columns,
          isFirst: head == kvHead * group,
          scratch(thread: thread)
        )
      }
    }
  }

  /// Calls `body` with the first row and the length of each sequence that begins in `block`.
  private func forEachSequence(
    block: Int,
    starts: UnsafeMutablePointer<UInt32>,
    ends: UnsafeMutablePointer<UInt32>,
    _ body: (_ start: Int, _ count: Int) -> Void
  ) {
    var row = block * rowBlock
    let last = min(rows, row + rowBlock)
    while row < last {
      let end = Int(ends[row])
      if Int(starts[row]) == row { body(row, end - row) }
      row = end
    }
  }
}

/// One head of one sequence: `count` rows of q, keys and values.
struct PackedHead {
  let q: UnsafeMutablePointer<Float>
  let keys: UnsafeMutablePointer<Float>
  let values: UnsafeMutablePointer<Float>
  /// Elements from one row of q to the next.
  let stride: Int
  /// Elements from one row of keys and values to the next.
  let kvStride: Int
  let headDim: Int
  let count: Int
  let isCausal: Bool
  let dropout: ck_dropout?
  let firstMaskRow: Int
  let maskRowStep: Int

  /// From this length on OpenBLAS computes the products: below, calling it takes longer than its
  /// better use of the registers saves.
  static let productTokensMin = 96
  /// Rows of scores are padded to whole vectors.
  static let lanes = 16

  /// Elements of a thread's scratch: scores (for a gradient also theirs), and keys (and values)
  /// transposed.
  static func scratchElements(
    _ attention: PackedAttention,
    rows: Int,
    _ headDim: Int,
    isGradient: Bool
  ) -> Int {
    let count = min(rows, attention.sequenceTokensMax)
    let width = padded(count)
    return (isGradient ? 2 : 1) * width * (count + headDim)
  }

  private static func padded(_ count: Int) -> Int { (count + lanes - 1) / lanes * lanes }

  private var width: Int { PackedHead.padded(count) }
  private var scale: Float { 1 / Float(headDim).squareRoot() }

  /// Writes softmax(scale q keysᵀ) values, with dropout of the probabilities, to `out`.
  func attend(_ out: UnsafeMutablePointer<Float>, _ scratch: UnsafeMutablePointer<Float>) {
    let scores = scratch
    writeProbabilities(scores, transposed: scratch + count * width)
    if var dropout {
      ck_dropout_f32(
        scores,
        scores,
        count,
        width,
        &dropout,
        UInt64(firstMaskRow),
        UInt64(maskRowStep)
      )
    }
    multiply(scores, width, isTransposed: false, values, kvStride, out, stride)
  }

  /// Writes the gradients, given that of the output, `g`; those of keys and values are added to
  /// the earlier query heads' unless `isFirst`.
  func differentiate(
    g: UnsafeMutablePointer<Float>,
    dq: UnsafeMutablePointer<Float>,
    dKeys: UnsafeMutablePointer<Float>,
    dValues: UnsafeMutablePointer<Float>,
    outStride: Int,
    isFirst: Bool,
    _ scratch: UnsafeMutablePointer<Float>
  ) {
    let p = scratch
    let dp = p + count * width
    let transposed = dp + count * width
    writeProbabilities(p, transposed: transposed)
    writeScores(g, values, dp, transposed: transposed)
    if var dropout {
      ck_attention_gradient_f32(
        p,
        dp,
        count,
        width,
        scale,
        &dropout,
        UInt64(firstMaskRow),
        UInt64(maskRowStep)
      )
    } else {
      ck_attention_gradient_f32(p, dp, count, width, scale, nil, 0, 0)
    }
    multiply(dp, width, isTransposed: false, keys, kvStride, dq, outStride)
    multiply(dp, width, isTransposed: true, q, stride, dKeys, outStride, accumulates: !isFirst)
    multiply(p, width, isTransposed: true, g, stride, dValues, outStride, accumulates: !isFirst)
  }

  /// The softmax of the scores `[count, width]`; 0 in the columns that a row does not see.
  private func writeProbabilities(
    _ p: UnsafeMutablePointer<Float>,
    transposed: UnsafeMutablePointer<Float>
  ) {
    writeScores(q, keys, p, transposed: transposed)
    ck_masked_softmax_f32(p, count, width, isCausal ? 1 : count, isCausal ? 1 : 0, scale)
  }

  /// out `[count, width]` = rows (of q's stride) times the transpose of columns (of the keys').
  private func writeScores(
    _ rows: UnsafeMutablePointer<Float>,
    _ columns: UnsafeMutablePointer<Float>,
    _ out: UnsafeMutablePointer<Float>,
    transposed: UnsafeMutablePointer<Float>
  ) {
    if count < PackedHead.productTokensMin {
      ck_transpose_f32(transposed, width, columns, kvStride, count, headDim)
      ck_small_product_f32(
        out,
        width,
        rows,
        stride,
        1,
        transposed,
        width,
        count,
        width,
        headDim,
        0
      )
      return
    }
    cblas_sgemm(
      CblasRowMajor,
      CblasNoTrans,
      CblasTrans,
      Int32(count),
      Int32(count),
      Int32(headDim),
      1,
      rows,
      Int32(stride),
      columns,
      Int32(kvStride),
      0,
      out,
      Int32(width)
    )
    for row in 0..<count where width > count {
      (out + row * width + count).update(repeating: 0, count: width - count)
    }
  }

  /// out `[count, headDim]` = weights `[count, count]` (or their transpose) times rows.
  private func multiply(
    _ weights: UnsafeMutablePointer<Float>,
    _ weightStride: Int,
    isTransposed: Bool,
    _ rows: UnsafeMutablePointer<Float>,
    _ rowStride: Int,
    _ out: UnsafeMutablePointer<Float>,
    _ outStride: Int,
    accumulates: Bool = false
  ) {
    if count < PackedHead.productTokensMin {
      ck_small_product_f32(
        out,
        outStride,
        weights,
        isTransposed ? 1 : weightStride,
        isTransposed ? weightStride : 1,
        rows,
        rowStride,
        count,
        headDim,
        count,
        accumulates ? 1 : 0
      )
      return
    }
    cblas_sgemm(
      CblasRowMajor,
      isTransposed ? CblasTrans : CblasNoTrans,
      CblasNoTrans,
      Int32(count),
      Int32(headDim),
      Int32(count),
      1,
      weights,
      Int32(weightStride),
      rows,
      Int32(rowStride),
      accumulates ? 1 : 0,
      out,
      Int32(outStride)
    )
  }
}
