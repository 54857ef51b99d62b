// What the methods that add operations share.
extension Graph {
  mutating func map(
    _ operation: Operation,
    _ x: Value,
    _ others: [Value] = []
  ) throws(TensorError) -> Value {
    try add(operation, [x] + others, shape: self[x].shape, live: self[x].live)
  }

  mutating func add(
    _ operation: Operation,
    _ inputs: [Value],
    shape: Shape,
    live: LiveRows?
  ) throws(TensorError) -> Value {
    try append(
      Node(operation: operation, inputs: inputs, dtype: .float32, shape: shape, live: live)
    )
  }

  func allFloat(_ values: [Value]) -> Bool {
    values.allSatisfy { self[$0].dtype == .float32 }
  }

  func check(
    _ condition: Bool,
    _ operation: String,
    _ operands: [(String, Value)]
  ) throws(TensorError) {
    guard !condition else { return }
    let shapes = operands.map { name, value in
      let node = self[value]
      let type = node.dtype == .float32 ? "" : " \(node.dtype.rawValue)"
      return
        "\(name) \(node.shape)\(type)\(node.live.map { " (\($0 == .all ? "live" : "selected") rows)" } ?? "")"
    }
    throw TensorError(.shapeMismatch, "\(operation): \(shapes.joined(separator: ", "))")
  }
}
