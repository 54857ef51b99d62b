import Tensors

/// What L-BFGS remembers between moves.
struct LBFGSMemory {
  typealias Vector = FlatVectors.Vector

  /// A move and the change of the gradient over it.
  struct Move {
    /// The change y of the gradient.
    let change: Vector
    /// The move s.
    let move: Vector
    /// The inverse of y times s.
    let inverse: Double
  }

  /// Moves since the beginning.
  var iterations = 0
  /// The direction of the last move.
  var direction: Vector
  /// How far along it the last move went.
  var length = 0.0
  /// The gradient before it.
  var previousGradient: Vector
  /// The latest moves, oldest first.
  var history: [Move] = []
  /// The scale of the initial approximation of the inverse Hessian.
  var diagonal = 1.0
  /// Curvature along a move below which it is not remembered.
  static let curvatureMin = 1e-10

  init(_ vectors: FlatVectors) throws(OptimizerError) {
    direction = try vectors.make()
    previousGradient = try vectors.make()
  }

  /// Starts anew, as after nothing has been done.
  mutating func forget() {
    iterations = 0
    length = 0
    diagonal = 1
    history = []
  }

  /// Sets the direction for `gradient`: the two-loop recursion (Nocedal).
  mutating func updateDirection(
    _ gradient: Vector,
    historySize: Int,
    _ vectors: FlatVectors
  ) throws(OptimizerError) {
    guard iterations > 1 else {
      vectors.scale(gradient, by: -1, to: direction)
      history = []
      diagonal = 1
      return
    }
    try remember(gradient, historySize: historySize, vectors)
    vectors.scale(gradient, by: -1, to: direction)
    var weights = [Double](repeating: 0, count: history.count)
    for (index, past) in history.enumerated().reversed() {
      weights[index] = vectors.dot(past.move, direction) * past.inverse
      vectors.add(past.change, scaledBy: -weights[index], to: direction)
    }
    vectors.scale(direction, by: diagonal, to: direction)
    for (index, past) in history.enumerated() {
      let weight = vectors.dot(past.change, direction) * past.inverse
      vectors.add(past.move, scaledBy: weights[index] - weight, to: direction)
    }
  }

  /// Remembers the last move, if the function curved upwards along it.
  private mutating func remember(
    _ gradient: Vector,
    historySize: Int,
    _ vectors: FlatVectors
  ) throws(OptimizerError) {
    let change = try vectors.make()
    let move = try vectors.make()
    vectors.copy(gradient, to: change)
    vectors.add(previousGradient, scaledBy: -1, to: change)
    vectors.scale(direction, by: length, to: move)
    let curvature = vectors.dot(change, move)
    guard curvature > Self.curvatureMin else { return }
    if history.count == historySize { history.removeFirst() }
    history.append(Move(change: change, move: move, inverse: 1 / curvature))
    diagonal = curvature / vectors.dot(change, change)
  }
}

extension LBFGS {
  package var counters: (algorithm: String, counters: [String: Int], scalars: [String: Double]) {
    var scalars = ["length": memory.length, "diagonal": memory.diagonal]
    for (index, past) in memory.history.enumerated() { scalars["inverse.\(index)"] = past.inverse }
    return (
      "lbfgs", ["iterations": memory.iterations, "history": memory.history.count], scalars
    )
  }

  package func withStateArrays(
    _ body: (_ name: String, _ values: UnsafeBufferPointer<Float>) throws -> Void
  ) rethrows {
    try body("direction", UnsafeBufferPointer(memory.direction.elements))
    try body("previous_gradient", UnsafeBufferPointer(memory.previousGradient.elements))
    for (index, past) in memory.history.enumerated() {
      try body("change.\(index)", UnsafeBufferPointer(past.change.elements))
      try body("move.\(index)", UnsafeBufferPointer(past.move.elements))
    }
  }

  package func restore(_ state: OptimizerState) throws(OptimizerError) {
    try state.require(algorithm: "lbfgs")
    var restored = try LBFGSMemory(vectors)
    restored.iterations = try state.counter("iterations")
    restored.length = try state.scalar("length")
    restored.diagonal = try state.scalar("diagonal")
    restored.direction = try vector("direction", state)
    restored.previousGradient = try vector("previous_gradient", state)
    let count = try state.counter("history")
    guard count <= options.historySize else {
      throw OptimizerError(
        .invalidState,
        "restore: \(count) remembered moves, the optimizer keeps \(options.historySize)"
      )
    }
    for index in 0..<count {
      restored.history.append(
        LBFGSMemory.Move(
          change: try vector("change.\(index)", state),
          move: try vector("move.\(index)", state),
          inverse: try state.scalar("inverse.\(index)")
        )
      )
    }
    memory = restored
  }

  private func vector(
    _ name: String,
    _ state: OptimizerState
  ) throws(OptimizerError) -> FlatVectors.Vector {
    let vector = try vectors.make()
    guard vector.count > 0 else { return vector }
    _ = vector.elements.update(
      fromContentsOf: try state.array(name, count: vectors.chunks.elementCount)
    )
    return vector
  }
}
