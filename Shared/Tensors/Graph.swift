/// A handle to the output of a node: its index in the graph that made it.
package struct Value: Sendable, Hashable {
  /// Index in `Graph.nodes`.
  package let index: Int
}

/// The rows of a call that a graph tells apart.
package enum LiveRows: Sendable {
  /// Those of the tokens.
  case all
  /// Those that the call selects among them.
  case selected
}

/// One operation with its inputs and the type of its output.
package struct Node: Sendable {
  /// What it computes.
  package let operation: Operation
  /// Its operands; each has a smaller index than the node.
  package fileprivate(set) var inputs: [Value]
  /// The element type of the output.
  package let dtype: DType
  /// The dimensions of the output; with `live`, the first is the most rows a call may have.
  package let shape: Shape
  /// Which of the call's rows the first dimension counts; nil for those of `shape`.
  ///
  /// The graph is planned for the most rows of its shape class, and a run computes only the rows
  /// that the call has.
  package let live: LiveRows?
  /// The destination, by index in `Graph.destinations`, that a run adds the output to; nil for an
  /// output in the arena.
  package fileprivate(set) var destination: Int?

  /// Whether the node must run even when nobody reads its output.
  package var hasSideEffect: Bool { operation.hasSideEffect || destination != nil }
}

/// The computation graph: a flat array of nodes in execution order, built by the methods of
/// `Graph+Operations`, each of which infers and checks shapes.
///
/// A graph holds no data but references to its constants. It is a value: building is confined to
/// one owner, reading is safe from anywhere.
package struct Graph: Sendable {
  /// The most nodes a graph may have; a model of 200 layers has about 4 000.
  package static let nodesMax = 100_000

  /// In execution order: inputs of a node stand before it.
  package private(set) var nodes: [Node] = []
  /// The weights, in the order of their first use.
  package private(set) var constants: [Tensor] = []
  /// The inputs' values, by input index; nil once a pass found that nothing reads it.
  package private(set) var inputs: [Value?] = []
  /// The values that a run leaves readable, in the order of `output`.
  package private(set) var outputs: [Value] = []

  /// Tensors outside the arena that nodes add their outputs to: the gradients of parameters.
  package private(set) var destinations: [Tensor] = []

  /// An empty graph.
  package init() {}

  /// The node that made a value.
  package subscript(_ value: Value) -> Node { nodes[value.index] }

  /// Declares data that each call provides.
  ///
  /// With `live`, the first dimension is the most rows of a call.
  package mutating func input(
    dtype: DType,
    shape: Shape,
    live: LiveRows? = nil
  ) throws(TensorError) -> Value {
    let value = try append(
      Node(
        operation: .input(inputs.count),
        inputs: [],
        dtype: dtype,
        shape: shape,
        live: live
      )
    )
    inputs.append(value)
    return value
  }

  /// Declares a weight.
  package mutating func constant(_ tensor: Tensor) throws(TensorError) -> Value {
    let value = try append(
      Node(
        operation: .constant(constants.count),
        inputs: [],
        dtype: tensor.dtype,
        shape: tensor.shape,
        live: nil
      )
    )
    constants.append(tensor)
    return value
  }

  /// Keeps a value readable after a run.
  package mutating func output(_ value: Value) {
    outputs.append(value)
  }

  /// Adds a node whose shapes have been checked.
  mutating func append(_ node: Node) throws(TensorError) -> Value {
    guard nodes.count < Graph.nodesMax else {
      throw TensorError(.invalidArgument, "graph: more than \(Graph.nodesMax) nodes")
    }
    precondition(node.inputs.allSatisfy { $0.index < nodes.count }, "value of another graph")
    nodes.append(node)
    return Value(index: nodes.count - 1)
  }

  /// Makes the newest node, if it is a matrix product, add `sum` to its output: true if it does.
  ///
  /// Nobody reads that output yet. The product adds in passing what `add` would read once more.
  mutating func addInProduct(_ value: Value, _ sum: Value) -> Bool {
    let node = nodes[value.index]
    guard value.index == nodes.count - 1, node.operation == .matmul, node.inputs.count == 2,
      node.destination == nil
    else { return false }
    precondition(nodes[sum.index].shape == node.shape && nodes[sum.index].live == node.live)
    nodes[value.index].inputs.append(sum)
    return true
  }

  /// Makes a run add the output of `value` to `tensor`, of the same shape, instead of writing it
  /// into the arena.
  ///
  /// No other node may read `value`. Runs of programs with a common destination must not overlap.
  mutating func bind(_ value: Value, to tensor: Tensor) {
    let node = nodes[value.index]
    precondition(node.operation.canAccumulate && node.shape == tensor.shape && node.live == nil)
    precondition(node.dtype == tensor.dtype)
    nodes[value.index].destination = destinations.count
    destinations.append(tensor)
  }

  /// The pass that removes nodes whose outputs nobody reads.
  ///
  /// Nodes with side effects stay, with all that they need.
  package func eliminatingDeadNodes() -> Graph {
    var isUsed = [Bool](repeating: false, count: nodes.count)
    for output in outputs { isUsed[output.index] = true }
    for index in nodes.indices.reversed() {
      if nodes[index].hasSideEffect { isUsed[index] = true }
      guard isUsed[index] else { continue }
      for input in nodes[index].inputs { isUsed[input.index] = true }
    }
    var result = Graph()
    var renumbered = [Value?](repeating: nil, count: nodes.count)
    for index in nodes.indices where isUsed[index] {
      var node = nodes[index]
      node.inputs = node.inputs.compactMap { renumbered[$0.index] }
      renumbered[index] = Value(index: result.nodes.count)
      result.nodes.append(node)
    }
    // Constants and destinations keep their indices, so that nodes need no rewriting.
    result.constants = constants
    result.destinations = destinations
    result.inputs = inputs.map { $0.flatMap { renumbered[$0.index] } }
    result.outputs = outputs.compactMap { renumbered[$0.index] }
    return result
  }
}
