internal import CKernels

/// The rows of a call.
struct LiveCounts: Sendable {
  let all: Int
  let selected: Int

  subscript(_ rows: LiveRows) -> Int { rows == .all ? all : selected }
}

/// One step in execution: its addresses, its live sizes and how its work is cut into tasks.
///
/// How it is cut depends on the shape alone, never on the number of threads, so that results do
/// not either.
struct Frame {
  let step: Step
  let out: UnsafeMutablePointer<Float>
  let x: UnsafeMutablePointer<Float>
  let y: UnsafeMutablePointer<Float>
  let z: UnsafeMutablePointer<Float>
  private let arena: UnsafeMutableRawPointer
  /// Rows of the output and of the first input in this call.
  let rows: Int
  let xRows: Int
  let cache: KeyValueCache?

  /// Tasks of the step.
  var tasks = 1
  /// Rows of one task.
  var rowBlock = 1
  /// Output columns of one task of a product.
  var columnBlock = 1
  /// Whether waking the pool would take longer than the work.
  var isSmall = false

  /// Elements of a row-wise operation that one task handles: about 5 microseconds of work.
  static let taskElements = 16_384
  /// Fewer query rows than this are attended one by one instead of by matrix products.
  static let attentionProductRowsMin = 4

  init(
    _ step: Step,
    arena: UnsafeMutableRawPointer,
    live: LiveCounts,
    cache: KeyValueCache?
  ) {
    func address(_ operand: Operand) -> UnsafeMutablePointer<Float> {
      operand.address(in: arena).assumingMemoryBound(to: Float.self)
    }
    self.step = step
    (out, x, y, z) = (address(step.output), address(step.x), address(step.y), address(step.z))
    self.arena = arena
    rows = step.live.map { live[$0] } ?? step.rows
    xRows = step.xLive.map { live[$0] } ?? step.xRows
    self.cache = cache
    cut()
  }

  /// The address of an input.
  func operand(_ index: Int) -> UnsafeMutablePointer<Float> {
    step.operands[index].address(in: arena).assumingMemoryBound(to: Float.self)
  }

  /// The address of an input of integers.
  func integers(_ index: Int) -> UnsafeMutablePointer<UInt32> {
    step.operands[index].address(in: arena).assumingMemoryBound(to: UInt32.self)
  }

  /// The scratch memory that tasks share.
  var sharedScratch: UnsafeMutablePointer<Float> {
    step.scratch.address(in: arena).assumingMemoryBound(to: Float.self)
  }

  /// The scratch memory of a thread.
  func scratch(thread: Int) -> UnsafeMutablePointer<Float> {
    (step.scratch.address(in: arena) + step.scratchBytesShared
      + thread * step.scratchBytesPerThread).assumingMemoryBound(to: Float.self)
  }

  private mutating func cut() {
    switch step.operation {
    case .linear, .matmul, .matmulTransposed: cutProduct()
    case .attention(let heads):
      cutAttention(heads: heads, positions: rows)
    case .cachedAttention(let attention):
      cutAttention(heads: attention.heads, positions: (cache?.length ?? 0) + rows)
    case .packedAttention(let attention):
      rowBlock = Frame.packedRows
      tasks = attention.heads * Frame.blocks(rows, rowBlock)
    case .packedAttentionGradient(let attention):
      rowBlock = Frame.packedRows
      tasks = attention.kvHeads * Frame.blocks(rows, rowBlock)
    case .embeddingGradient:
      columnBlock = Frame.scatterColumns
      tasks = Frame.blocks(step.columns, columnBlock)
      // Without a destination all rows are set to zero first.
      isSmall =
        max(xRows, step.accumulates ? 0 : rows) * step.columns <= Frame.taskElements
    case .sumRows, .normWeightGradient, .crossEntropy:
      rowBlock = Frame.rowBlock(columns: step.xColumns)
      tasks = Frame.blocks(xRows, rowBlock)
    case .lastRow, .sliceRows, .rotaryTable, .lastRowGradient, .sliceRowsGradient:
      isSmall = true
    default:
      rowBlock = Frame.rowBlock(columns: step.columns)
      tasks = Frame.blocks(rows, rowBlock)
    }
  }

  private mutating func cutAttention(heads: Int, positions: Int) {
    rowBlock = Step.attentionRowsMax
    tasks = heads * Frame.blocks(rows, rowBlock)
    isSmall = rows * positions * step.columns <= Frame.taskElements * 2
  }

  static func blocks(_ count: Int, _ block: Int) -> Int { (count + block - 1) / block }

  /// Rows of `columns` elements that one task of a row-wise operation handles.
  static func rowBlock(columns: Int) -> Int { max(1, taskElements / columns) }

  /// What must happen once before the tasks: the append to the cache.
  func begin() throws(TensorError) {
    if case .cachedAttention(let attention) = step.operation { try appendToCache(attention) }
  }

  /// What must happen once after the tasks: the sum of their parts, in order.
  func finish() {
    switch step.operation {
    case .sumRows, .normWeightGradient:
      guard tasks > 1 else { return }
      ck_sum_rows_f32(out, sharedScratch, tasks, step.xColumns, step.accumulates ? 1 : 0)
    case .crossEntropy:
      var sum = 0.0
      for row in 0..<xRows { sum += Double(sharedScratch[row]) }
      out[0] = Float(sum * Double(z[0]))
    default: break
    }
  }

  /// Runs one task.
  ///
  /// `thread` selects the scratch memory.
  func run(task: Int, thread: Int) {
    switch step.operation {
    case .input, .constant: break
    case .linear, .matmul, .matmulTransposed: multiply(task, thread: thread)
    case .packedAttention(let attention): attendPacked(attention, task, thread: thread)
    case .packedAttentionGradient(let attention):
      attendPackedGradient(attention, task, thread: thread)
    case .embeddingGradient, .sumRows, .normWeightGradient, .crossEntropy, .lastRowGradient,
      .sliceRowsGradient:
      runReduction(task)
    case .attention, .cachedAttention: attend(task, thread: thread)
    case .lastRow:
      out.update(from: x + (xRows - 1) * step.columns, count: step.columns)
    case .sliceRows(let range):
      out.update(from: x + range.lowerBound * step.columns, count: rows * step.columns)
    case .rotaryTable:
      let positions = UnsafeMutableRawPointer(x).assumingMemoryBound(to: UInt32.self)
      ck_rotary_table_f32(out, positions, y, rows, step.yElements)
    default:
      let start = task * rowBlock
      runRows(start, count: min(rowBlock, rows - start))
    }
  }

  /// Row-wise operations on `count` rows from `start`.
  private func runRows(_ start: Int, count: Int) {
    let columns = step.columns
    let (out, x) = (out + start * columns, x + start * columns)
    switch step.operation {
    case .embedding:
      let ids = UnsafeMutableRawPointer(y).assumingMemoryBound(to: UInt32.self)
      for row in 0..<count {
        let source = self.x + Int(ids[start + row]) * columns
        (out + row * columns).update(from: source, count: columns)
      }
    case .add, .multiply: combine(start, count)
    case .rmsNorm(let epsilon): ck_rms_norm_f32(out, x, y, count, columns, epsilon)
    case .layerNorm(let epsilon): ck_layer_norm_f32(out, x, y, z, count, columns, epsilon)
    case .rope(let isInverse):
      let headDim = step.yColumns
      let sign: Float = isInverse ? -1 : 1
      ck_rope_f32(out, x, y + start * headDim, count, columns / headDim, headDim, sign)
    case .silu: ck_silu_f32(out, x, count * columns)
    case .siluMultiply: ck_silu_mul_f32(out, x, y + start * columns, count * columns)
    case .gelu: ck_gelu_f32(out, x, count * columns)
    case .softmax: ck_softmax_f32(out, x, count, columns)
    case .tanh: ck_tanh_f32(out, x, count * columns)
    default: runTrainingRows(start, count)
    }
  }

  private func combine(_ start: Int, _ count: Int) {
    let columns = step.columns
    let isSum = step.operation == .add
    if step.yElements == step.rows * columns {
      let offset = start * columns
      let kernel = isSum ? ck_add_f32 : ck_mul_f32
      kernel(out + offset, x + offset, y + offset, count * columns)
      return
    }
    for row in start..<start + count {
      let offset = row * columns
      let kernel = isSum ? ck_add_f32 : ck_mul_f32
      kernel(out + offset, x + offset, y, columns)
    }
  }
}
