internal import CKernels

extension Frame {
  /// Columns of an embedding's gradient that one task adds up.
  static let scatterColumns = 64

  /// Checks the integers that the step reads.
  ///
  /// Throws `indexOutOfRange` for ids and labels, `invalidArgument` for sequences.
  func check() throws(TensorError) {
    switch step.operation {
    case .embedding:
      let ids = integers(1)
      for row in 0..<rows where Int(ids[row]) >= xRows {
        throw TensorError(
          .indexOutOfRange,
          "embedding: id \(ids[row]) at row \(row), the table has \(xRows)"
        )
      }
    case .crossEntropy:
      let labels = integers(1)
      for row in 0..<xRows
      where Int(labels[row]) >= step.xColumns && labels[row] != Graph.ignoredLabel {
        throw TensorError(
          .indexOutOfRange,
          "crossEntropy: label \(labels[row]) at row \(row), there are \(step.xColumns) classes"
        )
      }
    case .packedAttention(let attention): try checkSequences(attention)
    default: break
    }
  }

  /// Row-wise operations of the reverse pass, on `count` rows from `start`.
  func runTrainingRows(_ start: Int, _ count: Int) {
    let columns = step.columns
    let (offset, elements) = (start * columns, count * columns)
    let (out, x) = (out + offset, x + offset)
    switch step.operation {
    case .sliceColumns(let range):
      let source = self.x + start * step.xColumns + range.lowerBound
      for row in 0..<count {
        (out + row * columns).update(from: source + row * step.xColumns, count: columns)
      }
    case .sliceColumnsGradient(let range):
      out.update(repeating: 0, count: elements)
      let source = self.x + start * step.xColumns
      for row in 0..<count {
        (out + row * columns + range.lowerBound)
          .update(from: source + row * step.xColumns, count: range.count)
      }
    case .dropout(let constants):
      var dropout = ck_dropout(constants, seed: integers(1))
      ck_dropout_f32(out, x, count, columns, &dropout, UInt64(start), 1)
    case .accumulate:
      if step.accumulates {
        ck_accumulate_f32(out, x, elements)
      } else {
        out.update(from: x, count: elements)
      }
    case .normGradient(let norm):
      let centered: Int32 = norm.isCentered ? 1 : 0
      ck_norm_gradient_f32(out, x, y + offset, z, count, columns, norm.epsilon, centered)
    case .siluGradient:
      let up = step.inputCount > 2 ? z + offset : nil
      ck_silu_gradient_f32(out, x, y + offset, up, elements)
    case .geluGradient: ck_gelu_gradient_f32(out, x, y + offset, elements)
    case .tanhGradient: ck_tanh_gradient_f32(out, x, y + offset, elements)
    case .softmaxGradient: ck_softmax_gradient_f32(out, x, y + offset, count, columns)
    case .crossEntropyGradient:
      let scale = self.x[0] * operand(3)[0]
      ck_cross_entropy_gradient_f32(out, y + offset, integers(2) + start, count, columns, scale)
    default: preconditionFailure("\(step.operation.name) is not row-wise")
    }
  }

  /// Operations whose output has other rows than their input.
  func runReduction(_ task: Int) {
    let start = task * rowBlock
    let count = min(rowBlock, xRows - start)
    // The only task writes the output itself.
    let part = tasks == 1 ? out : sharedScratch + task * step.xColumns
    let accumulates: Int32 = tasks == 1 && step.accumulates ? 1 : 0
    switch step.operation {
    case .embeddingGradient: scatter(task)
    case .sumRows:
      ck_sum_rows_f32(part, x + start * step.xColumns, count, step.xColumns, accumulates)
    case .normWeightGradient(let norm):
      let offset = start * step.xColumns
      ck_norm_weight_gradient_f32(
        part,
        x + offset,
        y + offset,
        count,
        step.xColumns,
        norm.epsilon,
        norm.isCentered ? 1 : 0,
        accumulates
      )
    case .crossEntropy:
      let logits = x + start * step.xColumns
      ck_cross_entropy_f32(
        sharedScratch + start,
        logits,
        integers(1) + start,
        count,
        step.xColumns
      )
    case .lastRowGradient:
      out.update(repeating: 0, count: rows * step.columns)
      (out + (rows - 1) * step.columns).update(from: x, count: step.columns)
    case .sliceRowsGradient(let range):
      let target = out + range.lowerBound * step.columns
      if step.accumulates {
        ck_accumulate_f32(target, x, range.count * step.columns)
      } else {
        out.update(repeating: 0, count: rows * step.columns)
        target.update(from: x, count: range.count * step.columns)
      }
    default: preconditionFailure("\(step.operation.name) is not a reduction")
    }
  }

  /// Adds the rows of g to those of the table that their ids name, for one block of columns.
  ///
  /// Rows in order, so that the sums of a repeated id do not depend on threads.
  private func scatter(_ task: Int) {
    let ids = integers(1)
    let column = task * columnBlock
    let width = min(columnBlock, step.columns - column)
    if !step.accumulates {
      for row in 0..<rows {
        (out + row * step.columns + column).update(repeating: 0, count: width)
      }
    }
    for row in 0..<xRows {
      let target = out + Int(ids[row]) * step.columns + column
      ck_accumulate_f32(target, x + row * step.columns + column, width)
    }
  }
}

extension ck_dropout {
  /// The mask of `dropout` for a seed of two words.
  init(_ dropout: Dropout, seed: UnsafeMutablePointer<UInt32>) {
    self.init(
      seed: UInt64(seed[1]) << 32 | UInt64(seed[0]),
      stream: dropout.stream,
      threshold: UInt32(min(Double(dropout.probability) * 0x1p32, Double(UInt32.max))),
      scale: 1 / (1 - dropout.probability)
    )
  }
}
