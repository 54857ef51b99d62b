import Tensors
import Testing

@Suite("Operations equal their double-precision references")
struct OperationTests {
  private let threads = ThreadPool(threadCount: 2)
  private static let rows = [1, 2, 3, 5, 17, 33]

  @Test("Products with a weight, with and without bias", arguments: rows)
  func linear(rows: Int) throws {
    var generator = SeededGenerator(seed: UInt64(rows))
    for (n, k) in [(1, 1), (7, 3), (5, 31), (65, 33), (130, 64), (517, 129), (1_537, 257)] {
      let x = Matrix(random: rows, k, &generator)
      let weight = Matrix(random: n, k, &generator)
      let bias = Matrix(random: 1, n, &generator)
      for isBiased in [false, true] {
        let actual = try evaluate(threads: threads) { test in
          let input = try test.input(x)
          let constant = try test.graph.constant(try weight.tensor())
          guard isBiased else { return try test.graph.linear(input, weight: constant) }
          let biases = try test.graph.constant(try bias.vector())
          return try test.graph.linear(input, weight: constant, bias: biases)
        }
        let expected = Reference.linear(x, weight, bias: isBiased ? bias.values : nil)
        #expect(difference(actual, expected) < 1e-5 * Double(k).squareRoot())
      }
    }
  }

  @Test("Products large enough for large tiles", arguments: [288, 523])
  func largeProducts(rows: Int) throws {
    var generator = SeededGenerator(seed: 6)
    let (n, k) = (389, 11)
    let x = Matrix(random: rows, k, &generator)
    let weight = Matrix(random: n, k, &generator)
    let bias = Matrix(random: 1, n, &generator)
    let actual = try evaluate(threads: threads) { test in
      let input = try test.input(x)
      let constant = try test.graph.constant(try weight.tensor())
      let biases = try test.graph.constant(try bias.vector())
      return try test.graph.linear(input, weight: constant, bias: biases)
    }
    #expect(difference(actual, Reference.linear(x, weight, bias: bias.values)) < 1e-5)
  }

  @Test("Matrix products", arguments: rows)
  func matmul(rows: Int) throws {
    var generator = SeededGenerator(seed: 7)
    for (n, k) in [(1, 1), (3, 7), (65, 33), (530, 71)] {
      let lhs = Matrix(random: rows, k, &generator)
      let rhs = Matrix(random: k, n, &generator)
      let actual = try evaluate(threads: threads) { test in
        let (left, right) = (try test.input(lhs), try test.input(rhs))
        return try test.graph.matmul(left, right)
      }
      #expect(difference(actual, Reference.matmul(lhs, rhs)) < 1e-5 * Double(k).squareRoot())
    }
  }

  @Test("Sums and products, element by element and by row", arguments: rows)
  func elementwise(rows: Int) throws {
    var generator = SeededGenerator(seed: 8)
    for columns in [1, 7, 64, 3_001] {
      let lhs = Matrix(random: rows, columns, &generator)
      for rhs in [
        Matrix(random: rows, columns, &generator), Matrix(random: 1, columns, &generator),
      ] {
        let sum = try evaluate(threads: threads) { test in
          let (left, right) = (try test.input(lhs), try test.input(rhs))
          return try test.graph.add(left, right)
        }
        let product = try evaluate(threads: threads) { test in
          let (left, right) = (try test.input(lhs), try test.input(rhs))
          return try test.graph.multiply(left, right)
        }
        let pairs = lhs.values.indices.map {
          (Double(lhs.values[$0]), Double(rhs.values[$0 % rhs.values.count]))
        }
        #expect(difference(sum, pairs.map { $0 + $1 }) < 1e-6)
        #expect(difference(product, pairs.map { $0 * $1 }) < 1e-6)
      }
    }
  }

  @Test("Norms", arguments: rows)
  func norms(rows: Int) throws {
    var generator = SeededGenerator(seed: 9)
    for columns in [1, 3, 31, 256, 1_025] {
      let x = Matrix(random: rows, columns, &generator)
      let weight = Matrix(random: 1, columns, &generator)
      let bias = Matrix(random: 1, columns, &generator)
      let rms = try evaluate(threads: threads) { test in
        let input = try test.input(x)
        let scale = try test.graph.constant(try weight.vector())
        return try test.graph.rmsNorm(input, weight: scale, epsilon: 1e-6)
      }
      #expect(difference(rms, Reference.rmsNorm(x, weight.values, epsilon: 1e-6)) < 1e-5)
      let layer = try evaluate(threads: threads) { test in
        let input = try test.input(x)
        let scale = try test.graph.constant(try weight.vector())
        let shift = try test.graph.constant(try bias.vector())
        return try test.graph.layerNorm(input, weight: scale, bias: shift, epsilon: 1e-5)
      }
      let expected = Reference.layerNorm(x, weight.values, bias.values, epsilon: 1e-5)
      #expect(difference(layer, expected) < 1e-4)
    }
  }

  @Test("Activations and softmax", arguments: rows)
  func activations(rows: Int) throws {
    var generator = SeededGenerator(seed: 10)
    for columns in [1, 5, 63, 1_000] {
      let x = Matrix(rows, columns, generator.floats(rows * columns, in: -12...12))
      let up = Matrix(random: rows, columns, &generator)
      func run(_ operation: (inout Graph, Value) throws -> Value) throws -> [Float] {
        try evaluate(threads: threads) { test in
          let input = try test.input(x)
          return try operation(&test.graph, input)
        }
      }
      let values = x.values.map { Double($0) }
      #expect(difference(try run { try $0.silu($1) }, values.map(Reference.silu)) < 1e-6)
      #expect(difference(try run { try $0.gelu($1) }, values.map(Reference.gelu)) < 1e-6)
      #expect(
        difference(try run { try $0.softmax($1) }, Reference.perRow(x, Reference.softmax)) < 1e-6
      )
      let gated = try evaluate(threads: threads) { test in
        let (gate, factor) = (try test.input(x), try test.input(up))
        return try test.graph.siluMultiply(gate: gate, up: factor)
      }
      let expected = values.indices.map { Reference.silu(values[$0]) * Double(up.values[$0]) }
      #expect(difference(gated, expected) < 1e-6)
    }
  }

  @Test("Rotary positions", arguments: [(1, 2), (2, 6), (4, 32), (3, 64)])
  func rope(heads: Int, headDim: Int) throws {
    var generator = SeededGenerator(seed: 11)
    let positions: [UInt32] = [0, 1, 7, 500, 131_071]
    let x = Matrix(random: positions.count, heads * headDim, &generator)
    let frequencies = generator.floats(headDim / 2, in: 0...1)
    let actual = try evaluate(threads: threads) { test in
      let (input, indices) = (try test.input(x), try test.input(positions))
      let constant = try test.graph.constant(
        try Matrix(1, frequencies.count, frequencies).vector()
      )
      let table = try test.graph.rotaryTable(positions: indices, frequencies: constant)
      return try test.graph.rope(input, table: table)
    }
    let expected = Reference.rope(
      x,
      positions: positions,
      frequencies: frequencies,
      heads: heads
    )
    #expect(difference(actual, expected) < 1e-6)
  }

  @Test("Embeddings, slices and the last row")
  func selections() throws {
    var generator = SeededGenerator(seed: 12)
    let table = Matrix(random: 11, 7, &generator)
    let ids: [UInt32] = [10, 0, 3, 3, 9]
    let embedded = try evaluate(threads: threads) { test in
      let indices = try test.input(ids)
      let constant = try test.graph.constant(try table.tensor())
      return try test.graph.embedding(table: constant, ids: indices)
    }
    #expect(embedded == ids.flatMap { id in (0..<7).map { Float(table[Int(id), $0]) } })
    let slice = try evaluate(threads: threads) { test in
      let constant = try test.graph.constant(try table.tensor())
      return try test.graph.sliceRows(constant, 2..<5)
    }
    #expect(slice == Array(table.values[14..<35]))
    // Live rows: the last one of the call, not of the plan.
    let last = try evaluate(threads: threads, liveRows: 11) { test in
      let input = try test.input(table, planned: 64)
      return try test.graph.lastRow(input)
    }
    #expect(last == Array(table.values[70...]))
  }

  @Test("Attention among all rows", arguments: [1, 2, 3, 4, 31, 32, 33, 70])
  func bidirectionalAttention(rows: Int) throws {
    var generator = SeededGenerator(seed: 13)
    for (heads, headDim) in [(1, 1), (3, 5), (4, 32)] {
      let matrices = (0..<3).map { _ in Matrix(random: rows, heads * headDim, &generator) }
      let actual = try evaluate(threads: threads, liveRows: rows) { test in
        let inputs = try matrices.map { try test.input($0, planned: 128) }
        return try test.graph.attention(
          q: inputs[0],
          keys: inputs[1],
          values: inputs[2],
          heads: heads
        )
      }
      let expected = Reference.attention(
        q: matrices[0],
        keys: matrices[1],
        values: matrices[2],
        heads: heads,
        kvHeads: heads,
        past: nil
      )
      #expect(difference(actual, expected) < 1e-5)
    }
  }

  @Test(
    "Attention over the cache, whatever the sizes of the calls",
    arguments: [(4, 4), (6, 2), (5, 1)]
  )
  func cachedAttention(heads: Int, kvHeads: Int) throws {
    var generator = SeededGenerator(seed: 14)
    let headDim = 6
    let calls = [5, 1, 1, 40, 3, 33, 1]
    let cache = try KeyValueCache(
      layers: 2,
      kvHeads: kvHeads,
      headDim: headDim,
      capacityTokens: calls.reduce(0, +)
    )
    var keys = Matrix(0, kvHeads * headDim, [])
    var values = keys
    for rows in calls {
      let q = Matrix(random: rows, heads * headDim, &generator)
      let newKeys = Matrix(random: rows, kvHeads * headDim, &generator)
      let newValues = Matrix(random: rows, kvHeads * headDim, &generator)
      let actual = try evaluate(threads: threads, liveRows: rows, cache: cache) { test in
        let query = try test.input(q, planned: 64)
        let (key, value) = (
          try test.input(newKeys, planned: 64), try test.input(newValues, planned: 64)
        )
        return try test.graph.cachedAttention(
          q: query,
          keys: key,
          values: value,
          CachedAttention(layer: 1, heads: heads, kvHeads: kvHeads, contextTokens: 128)
        )
      }
      let past = cache.length
      cache.advance(by: rows)
      keys = Matrix(past + rows, keys.columns, keys.values + newKeys.values)
      values = Matrix(past + rows, values.columns, values.values + newValues.values)
      let expected = Reference.attention(
        q: q,
        keys: keys,
        values: values,
        heads: heads,
        kvHeads: kvHeads,
        past: past
      )
      #expect(difference(actual, expected) < 1e-5)
    }
  }
}
