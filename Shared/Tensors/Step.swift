/// A memory operand: an offset into the arena, or the address of a constant.
struct Operand: Sendable {
  /// The address of a weight: only read, and kept alive by the program's graph.
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
  let scratch: Operand
  let scratchBytesPerThread: Int
  /// Up to three inputs; absent ones point at the arena's start and are not used.
  let x: Operand
  let y: Operand
  let z: Operand
  let inputCount: Int
  /// Planned rows and columns of the output.
  let rows: Int
  let columns: Int
  let isLive: Bool
  /// Planned rows and columns of the first input.
  let xRows: Int
  let xColumns: Int
  let xIsLive: Bool
  /// Sizes of the second input.
  let yColumns: Int
  let yElements: Int

  /// Query rows that one attention task handles at once.
  static let attentionRowsMax = 32

  /// Nil for nodes that have nothing to run.
  init?(node index: Int, graph: Graph, plan: MemoryPlan) {
    let node = graph.nodes[index]
    guard let output = plan.outputs[index] else { return nil }
    if case .input = node.operation { return nil }
    func operand(_ position: Int) -> Operand {
      guard position < node.inputs.count else { return Operand(constant: nil, offset: 0) }
      let value = node.inputs[position]
      if case .constant(let constant) = graph[value].operation {
        return Operand(constant: graph.constants[constant].storage.base, offset: 0)
      }
      return Operand(constant: nil, offset: plan.outputs[value.index]?.offset ?? 0)
    }
    operation = node.operation
    self.output = Operand(constant: nil, offset: output.offset)
    scratch = Operand(constant: nil, offset: plan.scratch[index]?.offset ?? 0)
    scratchBytesPerThread = Step.scratchBytes(of: node)
    (x, y, z) = (operand(0), operand(1), operand(2))
    inputCount = node.inputs.count
    (rows, columns, isLive) = (node.shape.rows, node.shape.columns, node.isLive)
    let first = node.inputs.first.map { graph[$0] } ?? node
    let second = node.inputs.count > 1 ? graph[node.inputs[1]] : node
    xRows = first.shape[0]
    (xColumns, xIsLive) = (first.shape.columns, first.isLive)
    (yColumns, yElements) = (second.shape.columns, second.shape.elementCount)
  }

  /// The most live rows that the step is planned for; nil when it has none.
  var liveRowsMax: Int? { isLive ? rows : xIsLive ? xRows : nil }

  /// What one thread needs while the node runs, rounded to whole cache lines so that threads do
  /// not share one.
  static func scratchBytes(of node: Node) -> Int {
    let positions: Int
    switch node.operation {
    case .cachedAttention(let attention): positions = attention.contextTokens
    case .attention: positions = node.shape[0]
    default: return 0
    }
    let bytes = min(node.shape[0], attentionRowsMax) * positions * DType.float32.byteCount
    return (bytes + Storage.alignment - 1) / Storage.alignment * Storage.alignment
  }
}
