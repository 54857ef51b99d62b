import Tensors

/// A seeded generator (SplitMix64, Steele and others 2014), so that a failure repeats.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func floats(_ count: Int, in range: ClosedRange<Float> = -2...2) -> [Float] {
    (0..<count).map { _ in Float.random(in: range, using: &self) }
  }
}

/// A matrix of a test: row-major values of shape `[rows, columns]`.
struct Matrix {
  let rows: Int
  let columns: Int
  var values: [Float]

  init(_ rows: Int, _ columns: Int, _ values: [Float]) {
    (self.rows, self.columns, self.values) = (rows, columns, values)
  }

  init(random rows: Int, _ columns: Int, _ generator: inout SeededGenerator) {
    self.init(rows, columns, generator.floats(rows * columns))
  }

  subscript(row: Int, column: Int) -> Double { Double(values[row * columns + column]) }

  var isEmpty: Bool { values.isEmpty }

  func tensor(_ name: String = "weight") throws -> Tensor {
    try Tensor(name: name, shape: try Shape([rows, columns]), values: values)
  }

  func vector(_ name: String = "vector") throws -> Tensor {
    try Tensor(name: name, shape: try Shape([rows * columns]), values: values)
  }
}

/// A graph for one call: what the closure of `evaluate` builds on.
struct GraphUnderTest {
  var graph = Graph()
  private(set) var floats: [(Int, [Float])] = []
  private(set) var integers: [(Int, [UInt32])] = []
  /// The number of ids that select rows, if there are such ids.
  private(set) var selectedRows = 0

  /// An input with the rows of the matrix; with `planned`, live rows of that many at most.
  mutating func input(_ matrix: Matrix, planned: Int? = nil) throws -> Value {
    floats.append((graph.inputs.count, matrix.values))
    return try graph.input(
      dtype: .float32,
      shape: try Shape([planned ?? matrix.rows, matrix.columns]),
      live: planned == nil ? nil : .all
    )
  }

  /// An input of ids or positions.
  mutating func input(
    _ values: [UInt32],
    planned: Int? = nil,
    live: LiveRows = .all
  ) throws -> Value {
    if live == .selected { selectedRows = values.count }
    integers.append((graph.inputs.count, values))
    return try graph.input(
      dtype: .uint32,
      shape: try Shape([planned ?? values.count]),
      live: planned == nil ? nil : live
    )
  }
}

/// Runs the graph that `build` makes and returns its output.
func evaluate(
  threads: ThreadPool = ThreadPool(threadCount: 2),
  liveRows: Int = 1,
  cache: KeyValueCache? = nil,
  _ build: (inout GraphUnderTest) throws -> Value
) throws -> [Float] {
  var test = GraphUnderTest()
  let output = try build(&test)
  test.graph.output(output)
  let program = try Program(test.graph, threadCount: threads.threadCount)
  let executor = Executor(threads: threads, arenaBytesMax: 1 << 30)
  try executor.load(program)
  for (index, values) in test.floats {
    try values.withUnsafeBufferPointer { try executor.setInput(index, $0) }
  }
  for (index, values) in test.integers {
    try values.withUnsafeBufferPointer { try executor.setInput(index, $0) }
  }
  try executor.run(liveRows: liveRows, selectedRows: test.selectedRows, cache: cache)
  return Array(executor.output(0))
}

/// The largest difference, relative to the larger of 1 and the expected value; infinite for NaN or
/// another count.
func difference(_ actual: [Float], _ expected: [Double]) -> Double {
  guard actual.count == expected.count else { return .infinity }
  var largest = 0.0
  for (value, reference) in zip(actual, expected) {
    let error = abs(Double(value) - reference) / max(1, abs(reference))
    guard !error.isNaN else { return .infinity }
    largest = max(largest, error)
  }
  return largest
}
