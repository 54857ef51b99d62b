import Tensors
import Testing

@Suite("The executor")
struct ExecutorTests {
  /// A decoder layer in small: every kind of task, more rows than one attention block.
  private func network(
    _ test: inout GraphUnderTest,
    rows: Int,
    _ generator: inout SeededGenerator
  ) throws -> Value {
    let hidden = 96
    let x = try test.input(Matrix(random: rows, hidden, &generator), planned: 128)
    func weight(_ n: Int, _ k: Int) throws -> Value {
      try test.graph.constant(try Matrix(random: n, k, &generator).tensor())
    }
    let norm = try test.graph.constant(try Matrix(random: 1, hidden, &generator).vector())
    let normed = try test.graph.rmsNorm(x, weight: norm, epsilon: 1e-6)
    let q = try test.graph.linear(normed, weight: try weight(hidden, hidden))
    let k = try test.graph.linear(normed, weight: try weight(hidden, hidden))
    let v = try test.graph.linear(normed, weight: try weight(hidden, hidden))
    let attended = try test.graph.attention(q: q, keys: k, values: v, heads: 6)
    let sum = try test.graph.add(x, attended)
    let inner = try test.graph.gelu(
      try test.graph.linear(sum, weight: try weight(1_000, hidden))
    )
    return try test.graph.linear(inner, weight: try weight(77, 1_000))
  }

  @Test("Results are the same bits on 1, 2 and 4 threads", arguments: [1, 2, 37, 100])
  func determinism(rows: Int) throws {
    let results = try [1, 2, 4].map { count in
      var generator = SeededGenerator(seed: 42)
      return try evaluate(threads: ThreadPool(threadCount: count), liveRows: rows) { test in
        try network(&test, rows: rows, &generator)
      }
    }
    #expect(results[0].count == rows * 77)
    #expect(results[0].map(\.bitPattern) == results[1].map(\.bitPattern))
    #expect(results[0].map(\.bitPattern) == results[2].map(\.bitPattern))
  }

  @Test("A plan above the memory limit is refused before it runs")
  func memoryLimit() throws {
    var graph = Graph()
    let x = try graph.input(dtype: .float32, shape: try Shape([1_000, 1_000]))
    graph.output(try graph.silu(x))
    let program = try Program(graph, threadCount: 1)
    #expect(program.peakBytes == 8_000_000)
    let executor = Executor(threads: ThreadPool(threadCount: 1), arenaBytesMax: 7_999_999)
    let error = #expect(throws: TensorError.self) { try executor.load(program) }
    #expect(error?.code == .memoryLimit)
    #expect(error?.message.contains("8000000 bytes, the limit is 7999999") == true)
  }

  @Test("An id outside the table is an error, not a read beyond it")
  func idOutOfRange() throws {
    let error = #expect(throws: TensorError.self) {
      try evaluate { test in
        let ids = try test.input([2, 11])
        let table = try test.graph.constant(
          try Matrix(11, 2, [Float](repeating: 0, count: 22)).tensor()
        )
        return try test.graph.embedding(table: table, ids: ids)
      }
    }
    #expect(error?.code == .indexOutOfRange)
    #expect(error?.message == "embedding: id 11 at row 1, the table has 11")
  }

  @Test("More rows than planned are refused", arguments: [0, -1, 9, Int.max])
  func rows(liveRows: Int) throws {
    let error = #expect(throws: TensorError.self) {
      try evaluate(liveRows: liveRows) { test in
        let x = try test.input(Matrix(1, 4, [1, 2, 3, 4]), planned: 8)
        return try test.graph.silu(x)
      }
    }
    #expect(error?.code == .shapeMismatch)
  }

  @Test("More rows than planned are refused where others are selected of them", arguments: [0, 9])
  func rowsOfATable(liveRows: Int) throws {
    let error = #expect(throws: TensorError.self) {
      try evaluate(liveRows: liveRows) { test in
        let x = try test.input(Matrix(1, 4, [1, 2, 3, 4]), planned: 8)
        return try test.graph.embedding(
          table: x,
          ids: try test.input([0], planned: 8, live: .selected)
        )
      }
    }
    #expect(error?.code == .shapeMismatch)
  }

  @Test("An input of the wrong size is refused")
  func inputSize() throws {
    var graph = Graph()
    let x = try graph.input(dtype: .float32, shape: try Shape([2, 2]))
    graph.output(try graph.silu(x))
    let executor = Executor(threads: ThreadPool(threadCount: 1), arenaBytesMax: 1 << 20)
    try executor.load(try Program(graph, threadCount: 1))
    #expect(throws: TensorError.self) {
      try [Float](repeating: 0, count: 5).withUnsafeBufferPointer { try executor.setInput(0, $0) }
    }
    #expect(throws: TensorError.self) {
      try [UInt32](repeating: 0, count: 4).withUnsafeBufferPointer { try executor.setInput(0, $0) }
    }
  }

  @Test("A full cache is an error that names the numbers, and keeps its content")
  func fullCache() throws {
    let cache = try KeyValueCache(layers: 1, kvHeads: 1, headDim: 2, capacityTokens: 3)
    func attend(_ rows: Int) throws {
      let matrix = Matrix(rows, 2, [Float](repeating: 1, count: rows * 2))
      _ = try evaluate(liveRows: rows, cache: cache) { test in
        let q = try test.input(matrix, planned: 4)
        return try test.graph.cachedAttention(
          q: q,
          keys: q,
          values: q,
          CachedAttention(layer: 0, heads: 1, kvHeads: 1, contextTokens: 8)
        )
      }
      cache.advance(by: rows)
    }
    try attend(2)
    let error = #expect(throws: TensorError.self) { try attend(2) }
    #expect(error?.code == .capacityExceeded)
    #expect(error?.message == "cachedAttention: 2 + 2 positions, capacity 3")
    #expect(cache.length == 2)
  }

  @Test("A cache of another model is refused")
  func foreignCache() throws {
    let cache = try KeyValueCache(layers: 1, kvHeads: 2, headDim: 2, capacityTokens: 3)
    #expect(throws: TensorError.self) {
      try evaluate(liveRows: 1, cache: cache) { test in
        let q = try test.input(Matrix(1, 2, [1, 1]), planned: 4)
        return try test.graph.cachedAttention(
          q: q,
          keys: q,
          values: q,
          CachedAttention(layer: 0, heads: 1, kvHeads: 1, contextTokens: 8)
        )
      }
    }
    #expect(throws: TensorError.self) {
      try KeyValueCache(layers: 1 << 20, kvHeads: 1 << 20, headDim: 1 << 20, capacityTokens: 8)
    }
  }
}
