extension Graph {
  /// The most nodes that compute side by side.
  package static let stageNodesMax = 8

  /// For each node the nodes of its stage: those that compute side by side.
  ///
  /// The nodes of a stage follow one another, none needs what another computes, and no two write to
  /// one tensor, so that they can run in any order and at the same time. Products and the sums of
  /// rows that go with them share stages (the three of an attention layer; the gradients of a
  /// product's sides): the threads meet once for all, and a thread that is late holds up less.
  /// Every other node is a stage of its own.
  package func stages() -> [ClosedRange<Int>] {
    var stages: [ClosedRange<Int>] = []
    stages.reserveCapacity(nodes.count)
    var stage = Stage(first: 0)
    func close(before end: Int) {
      for _ in stages.count..<end { stages.append(stage.first...end - 1) }
    }
    for (index, node) in nodes.enumerated() {
      if !stage.takes(index, node, self) {
        close(before: index)
        stage = Stage(first: index)
        _ = stage.takes(index, node, self)
      }
    }
    close(before: nodes.count)
    return stages
  }

  /// A stage that may still grow.
  private struct Stage {
    let first: Int
    private var computing = 0
    private var isShared = true
    private var isRead: Set<ObjectIdentifier> = []
    private var isWritten: Set<ObjectIdentifier> = []

    init(first: Int) { self.first = first }

    /// Takes the node if it can compute beside those that are in.
    mutating func takes(_ index: Int, _ node: Node, _ graph: Graph) -> Bool {
      switch node.operation {
      case .input, .constant: return true
      case .linear, .matmul, .matmulTransposed, .sumRows:
        guard isShared, computing < Graph.stageNodesMax, !needs(node, graph) else { return false }
      default:
        guard computing == 0 else { return false }
        isShared = false
      }
      computing += 1
      for input in node.inputs {
        if let storage = graph.storage(of: input) { isRead.insert(ObjectIdentifier(storage)) }
      }
      if let destination = node.destination {
        isWritten.insert(ObjectIdentifier(graph.destinations[destination].storage))
      }
      return true
    }

    /// Whether the node needs what the stage computes, or writes what it uses.
    private func needs(_ node: Node, _ graph: Graph) -> Bool {
      let readsResult = node.inputs.contains { input in
        guard let storage = graph.storage(of: input) else {
          return graph.computes(input, from: first)
        }
        return isWritten.contains(ObjectIdentifier(storage))
      }
      guard !readsResult, let destination = node.destination else { return readsResult }
      let target = ObjectIdentifier(graph.destinations[destination].storage)
      return isWritten.contains(target) || isRead.contains(target)
    }
  }

  /// The memory of a constant.
  private func storage(of value: Value) -> Storage? {
    guard case .constant(let index) = self[value].operation else { return nil }
    return constants[index].storage
  }

  /// Whether a node from `first` on computes the value.
  private func computes(_ value: Value, from first: Int) -> Bool {
    guard value.index >= first else { return false }
    if case .input = self[value].operation { return false }
    return true
  }
}
