internal import CKernels
internal import COpenBLAS

// Products with weights: a vector's by our kernel, those of few rows by OpenBLAS, and those of many
// by panels, where the processor has vectors for them.
extension Frame {
  /// Weights of a matrix-vector product that one task reads: 128 KiB.
  static let taskWeights = 32_768
  /// From this many rows on the copy of the weights to panels is worth its time.
  static let panelRowsMin = 48
  /// Rows that share one copy of the weights at most.
  static let panelRowsMax = 512
  /// The same where the left side is copied too, and the rows that are copied fastest: `CK_STRIP`.
  static let panelRowsTransposedMax = 384
  static let strip = 48
  /// Output columns of a task: their panels fit the second-level cache.
  static let panelBlock = 192
  /// Rows of a tile of OpenBLAS at most.
  static let tileRowsMax = 256

  static let hasPanels = ck_has_product() != 0

  /// Whether a product of `rows` output rows uses panels.
  static func usesPanels(rows: Int) -> Bool { hasPanels && rows >= panelRowsMin }

  /// Output columns of one task of a panel product: four tasks for narrow ones, so that two or four
  /// threads have equal shares.
  static func panelColumns(_ columns: Int) -> Int {
    columns <= 2 * panelBlock ? panelBlock / 2 : panelBlock
  }

  /// Scratch elements of one thread for a product of at most `rows` output rows.
  static func productScratch(rows: Int, columns: Int, inner: Int) -> Int {
    usesPanels(rows: rows) ? ck_product_scratch(min(columns, panelBlock), inner) : 0
  }

  private var isTransposed: Bool { step.operation == .matmulTransposed }

  /// The length of the sums.
  private var inner: Int { isTransposed ? xRows : step.xColumns }

  mutating func cutProduct() {
    if step.operation == .linear, rows == 1 {
      columnBlock = max(4, Frame.taskWeights / step.xColumns / 4 * 4)
      tasks = Frame.blocks(step.columns, columnBlock)
      return
    }
    isSmall = rows * step.columns * inner <= Frame.taskElements * 8
    if Frame.usesPanels(rows: rows) {
      let rowsMax = isTransposed ? Frame.panelRowsTransposedMax : Frame.panelRowsMax
      rowBlock = Frame.blocks(rows, Frame.blocks(rows, rowsMax))
      if isTransposed { rowBlock = Frame.blocks(rowBlock, Frame.strip) * Frame.strip }
      columnBlock = Frame.panelColumns(step.columns)
    } else {
      columnBlock = step.columns <= 512 ? max(16, (step.columns / 4 + 15) / 16 * 16) : 128
      rowBlock = Frame.tileRowsMax
    }
    tasks = Frame.blocks(step.columns, columnBlock) * Frame.blocks(rows, rowBlock)
  }

  /// One task of `linear`, `matmul` or `matmulTransposed`.
  func multiply(_ task: Int, thread: Int) {
    if step.operation == .linear, rows == 1 {
      multiplyVector(task)
    } else if Frame.usesPanels(rows: rows) {
      var product = product(task)
      ck_product_f32(&product, scratch(thread: thread))
    } else {
      multiplyTile(product(task))
    }
  }

  /// `columnBlock` elements of weight [n, k] times x [k], plus bias.
  private func multiplyVector(_ task: Int) {
    let start = task * columnBlock
    let bias: UnsafeMutablePointer<Float>? = step.inputCount > 2 ? z + start : nil
    ck_matvec_f32(
      out + start,
      y + start * step.xColumns,
      x,
      bias,
      min(columnBlock, step.columns - start),
      step.xColumns
    )
  }

  /// The tile of a task: x [m, k] (of `matmulTransposed`: the transpose of x [k, m]) times y [k, n]
  /// (of `linear`: the transpose of y [n, k]).
  ///
  /// Added to what `matmul` has as third input, or to what is at the step's destination.
  private func product(_ task: Int) -> ck_product {
    let columnTiles = Frame.blocks(step.columns, columnBlock)
    let (row, column) = (task / columnTiles * rowBlock, task % columnTiles * columnBlock)
    let isWeight = step.operation == .linear
    let place = row * step.columns + column
    let hasAddend = step.operation == .matmul && step.inputCount > 2
    let addend = hasAddend ? z + place : step.accumulates ? out + place : nil
    return ck_product(
      out: out + place,
      stride: step.columns,
      a: isTransposed ? x + row : x + row * step.xColumns,
      a_row: isTransposed ? 1 : step.xColumns,
      a_column: isTransposed ? step.xColumns : 1,
      b: isWeight ? y + column * inner : y + column,
      b_row: isWeight ? 1 : step.columns,
      b_column: isWeight ? inner : 1,
      bias: isWeight && step.inputCount > 2 ? UnsafePointer(z + column) : nil,
      addend: addend.map { UnsafePointer($0) },
      m: min(rowBlock, rows - row),
      n: min(columnBlock, step.columns - column),
      k: inner
    )
  }

  /// The same by OpenBLAS.
  private func multiplyTile(_ tile: ck_product) {
    if let addend = tile.addend, addend != tile.out {
      for row in 0..<tile.m {
        (tile.out + row * tile.stride).update(from: addend + row * tile.stride, count: tile.n)
      }
    }
    cblas_sgemm(
      CblasRowMajor,
      isTransposed ? CblasTrans : CblasNoTrans,
      step.operation == .linear ? CblasTrans : CblasNoTrans,
      Int32(tile.m),
      Int32(tile.n),
      Int32(tile.k),
      1,
      tile.a,
      Int32(isTransposed ? tile.a_column : tile.a_row),
      tile.b,
      Int32(step.operation == .linear ? tile.b_column : tile.b_row),
      tile.addend != nil ? 1 : 0,
      tile.out,
      Int32(tile.stride)
    )
    if let bias = tile.bias { ck_add_bias_f32(tile.out, bias, tile.m, tile.n, tile.stride) }
  }
}
