/// A memory operand: an offset into the arena, or the address of a constant or destination.
struct Operand: Sendable {
  /// The address of a weight, which is only read, or of a destination; the program's graph keeps
  /// it alive.
  nonisolated(unsafe) let constant: UnsafeMutableRawPointer?
  /// From the start of the arena, in bytes.
  let offset: Int

  func address(in arena: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
    constant ?? arena + offset
  }
}

/// A node with its operands resolved and its sizes at hand.
struct Step: Sendable {
  let operation: Operation
  let output: Operand
  /// Whether the output is added to what is there.
  let accumulates: Bool
  /// The shared scratch, then that of each thread.
  let scratch: Operand
  let scratchBytesShared: Int
  let scratchBytesPerThread: Int
  /// All inputs.
  let operands: [Operand]
  /// The first three inputs; absent ones point at the arena's start and are not used.
  let x: Operand
  let y: Operand
  let z: Operand
  let inputCount: Int
  /// Planned rows and columns of the output.
  let rows: Int
  let columns: Int
  let live: LiveRows?
  /// Planned rows and columns of the first input.
  let xRows: Int
  let xColumns: Int
  let xLive: LiveRows?
  /// Sizes of the second input.
  let yColumns: Int
  let yElements: Int

  /// Query rows that one attention task handles at once.
  static let attentionRowsMax = 32

  /// Nil for nodes that have nothing to run.
  init?(node index: Int, graph: Graph, plan: MemoryPlan) {
    let node = graph.nodes[index]
    switch node.operation {
    case .input, .constant: return nil
    default: break
    }
    if let destination = node.destination {
      output = Operand(constant: graph.destinations[destination].storage.base, offset: 0)
    } else {
      guard let buffer = plan.outputs[index] else { return nil }
      output = Operand(constant: nil, offset: buffer.offset)
    }
    accumulates = node.destination != nil
    func operand(_ position: Int) -> Operand {
      guard position < node.inputs.count else { return Operand(constant: nil, offset: 0) }
      let value = node.inputs[position]
      if case .constant(let constant) = graph[value].operation {
        return Operand(constant: graph.constants[constant].storage.base, offset: 0)
      }
      return Operand(constant: nil, offset: plan.outputs[value.index]?.offset ?? 0)
    }
    operation = node.operation
    scratch = Operand(constant: nil, offset: plan.scratch[index]?.offset ?? 0)
    scratchBytesShared = Step.scratchBytesShared(of: node, graph)
    scratchBytesPerThread = Step.scratchBytes(of: node, graph)
    operands = node.inputs.indices.map { operand($0) }
    (x, y, z) = (operand(0), operand(1), operand(2))
    inputCount = node.inputs.count
    (rows, columns, live) = (node.shape.rows, node.shape.columns, node.live)
    let first = node.inputs.first.map { graph[$0] } ?? node
    let second = node.inputs.count > 1 ? graph[node.inputs[1]] : node
    xRows = first.shape[0]
    (xColumns, xLive) = (first.shape.columns, first.live)
    (yColumns, yElements) = (second.shape.columns, second.shape.elementCount)
  }

  /// Throws `shapeMismatch` when a call has no rows or more than the step is planned for.
  func check(_ counts: LiveCounts) throws(TensorError) {
    for (live, planned) in [(live, rows), (xLive, xRows)] {
      guard let live, counts[live] < 1 || counts[live] > planned else { continue }
      throw TensorError(
        .shapeMismatch,
        "\(operation.name): \(counts[live]) \(live == .all ? "live" : "selected") rows, planned "
          + "for \(planned)"
      )
    }
  }

  /// What one thread needs while the node runs, rounded to whole cache lines so that threads do
  /// not share one.
  static func scratchBytes(of node: Node, _ graph: Graph) -> Int {
    let elements: Int
    switch node.operation {
    case .linear, .matmul, .matmulTransposed:
      let x = graph[node.inputs[0]].shape
      elements = Frame.productScratch(
        rows: node.shape.rows,
        columns: node.shape.columns,
        inner: node.operation == .matmulTransposed ? x[0] : x.columns
      )
    case .cachedAttention(let attention):
      elements = min(node.shape[0], attentionRowsMax) * attention.contextTokens
    case .attention: elements = min(node.shape[0], attentionRowsMax) * node.shape[0]
    case .packedAttention(let attention):
      let headDim = node.shape.columns / attention.heads
      elements = PackedHead.scratchElements(
        attention,
        rows: node.shape[0],
        headDim,
        isGradient: false
      )
    case .packedAttentionGradient(let attention):
      let headDim = node.shape.columns / (attention.heads + 2 * attention.kvHeads)
      elements = PackedHead.scratchElements(
        attention,
        rows: node.shape[0],
        headDim,
        isGradient: true
      )
    default: return 0
    }
    return aligned(elements)
  }

  /// What the tasks of the node share: a part of a sum from each.
  static func scratchBytesShared(of node: Node, _ graph: Graph) -> Int {
    guard let first = node.inputs.first.map({ graph[$0] }) else { return 0 }
    switch node.operation {
    case .sumRows, .normWeightGradient:
      let blocks = Frame.blocks(first.shape.rows, Frame.rowBlock(columns: first.shape.columns))
      return blocks > 1 ? aligned(blocks * first.shape.columns) : 0
    case .crossEntropy: return aligned(first.shape.rows)
    default: return 0
    }
  }

  private static func aligned(_ elements: Int) -> Int {
    let bytes = elements * DType.float32.byteCount
    return (bytes + Storage.alignment - 1) / Storage.alignment * Storage.alignment
  }
}
