internal import CKernels
internal import COpenBLAS

extension Frame {
  /// Where one head's keys and values lie: position p starts `stride` elements after p-1.
  private struct HeadPositions {
    let keys: UnsafeMutablePointer<Float>
    let values: UnsafeMutablePointer<Float>
    let stride: Int
    /// Positions before the first row of this call.
    let past: Int
    let isCausal: Bool
  }

  /// Copies this call's keys (y) and values (z) `[rows, kvHeads*headDim]` behind the cache's
  /// positions.
  ///
  /// Throws `shapeMismatch` when the cache is made for another model.
  func appendToCache(_ attention: CachedAttention) throws(TensorError) {
    let headDim = step.columns / attention.heads
    guard let cache, attention.layer < cache.layers, cache.kvHeads == attention.kvHeads,
      cache.headDim == headDim, cache.length + rows <= attention.contextTokens
    else {
      let found =
        cache.map {
          "[\($0.layers),\($0.kvHeads),\($0.capacityTokens),\($0.headDim)] with \($0.length) used"
        } ?? "none"
      throw TensorError(
        .shapeMismatch,
        "cachedAttention: layer \(attention.layer), \(attention.kvHeads) heads of \(headDim), "
          + "\(rows) rows, context \(attention.contextTokens); cache \(found)"
      )
    }
    for head in 0..<attention.kvHeads {
      let offset = cache.length * headDim
      let keys = cache.keys(layer: attention.layer, head: head) + offset
      let values = cache.values(layer: attention.layer, head: head) + offset
      for row in 0..<rows {
        let source = (row * attention.kvHeads + head) * headDim
        (keys + row * headDim).update(from: y + source, count: headDim)
        (values + row * headDim).update(from: z + source, count: headDim)
      }
    }
  }

  /// One head's attention for one block of query rows.
  func attend(_ task: Int, thread: Int) {
    let blocks = (rows + rowBlock - 1) / rowBlock
    let (head, start) = (task / blocks, task % blocks * rowBlock)
    let count = min(rowBlock, rows - start)
    let heads: Int
    let positions: HeadPositions
    switch step.operation {
    case .cachedAttention(let attention):
      guard let cache else { preconditionFailure("checked by begin()") }
      heads = attention.heads
      // Consecutive query heads share a key-value head.
      let kvHead = head / (attention.heads / attention.kvHeads)
      positions = HeadPositions(
        keys: cache.keys(layer: attention.layer, head: kvHead),
        values: cache.values(layer: attention.layer, head: kvHead),
        stride: step.columns / heads,
        past: cache.length,
        isCausal: true
      )
    case .attention(let count):
      heads = count
      let offset = head * (step.columns / heads)
      positions = HeadPositions(
        keys: y + offset,
        values: z + offset,
        stride: step.columns,
        past: 0,
        isCausal: false
      )
    default: preconditionFailure("\(step.operation.name) is not an attention")
    }
    let headDim = step.columns / heads
    let scores = scratch(thread: thread)
    let offset = start * step.columns + head * headDim
    if count < Frame.attentionProductRowsMin {
      attendByRow(positions, offset, start, count, headDim, scores)
    } else {
      attendByProducts(positions, offset, start, count, headDim, scores)
    }
  }

  private func attendByRow(
    _ positions: HeadPositions,
    _ offset: Int,
    _ start: Int,
    _ count: Int,
    _ headDim: Int,
    _ scores: UnsafeMutablePointer<Float>
  ) {
    for row in 0..<count {
      let length = positions.isCausal ? positions.past + start + row + 1 : rows
      let element = offset + row * step.columns
      ck_attention_row_f32(
        out + element,
        x + element,
        positions.keys,
        positions.values,
        positions.stride,
        length,
        headDim,
        1 / Float(headDim).squareRoot(),
        scores
      )
    }
  }

  /// Scores [count, length] = queries times keys transposed; output = softmax(scores) times values.
  private func attendByProducts(
    _ positions: HeadPositions,
    _ offset: Int,
    _ start: Int,
    _ count: Int,
    _ headDim: Int,
    _ scores: UnsafeMutablePointer<Float>
  ) {
    let length = positions.isCausal ? positions.past + start + count : rows
    let (width, stride) = (Int32(step.columns), Int32(positions.stride))
    cblas_sgemm(
      CblasRowMajor,
      CblasNoTrans,
      CblasTrans,
      Int32(count),
      Int32(length),
      Int32(headDim),
      1,
      x + offset,
      width,
      positions.keys,
      stride,
      0,
      scores,
      Int32(length)
    )
    ck_masked_softmax_f32(
      scores,
      count,
      length,
      positions.isCausal ? positions.past + start + 1 : length,
      positions.isCausal ? 1 : 0,
      1 / Float(headDim).squareRoot()
    )
    cblas_sgemm(
      CblasRowMajor,
      CblasNoTrans,
      CblasNoTrans,
      Int32(count),
      Int32(headDim),
      Int32(length),
      1,
      scores,
      Int32(length),
      positions.values,
      stride,
      0,
      out + offset,
      width
    )
  }
}
