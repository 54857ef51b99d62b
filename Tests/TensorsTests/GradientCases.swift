import Tensors

/// The sizes of a generated graph.
struct CaseSize: Sendable {
  /// Live rows, and rows planned.
  let rows: Int
  let planned: Int
  /// Columns of most values; the head size of attention and rope is even.
  let columns: Int
  let headDim: Int
  /// The lengths of the sequences; their sum is `rows`.
  let sequences: [Int]
}

/// A graph with one operation under test, made anew for each use.
struct GradientCase: Sendable, CustomStringConvertible {
  let name: String
  /// Returns a value of at least two columns for the loss to read.
  let build: @Sendable (inout CaseBuilder) throws -> Value

  var description: String { name }
}

/// What a case builds on: random inputs and weights of a graph.
struct CaseBuilder {
  var test = GraphUnderTest()
  var generator: SeededGenerator
  let size: CaseSize
  /// The float inputs whose gradients are wanted.
  var inputs: [Value] = []
  /// The constants whose gradients are not wanted.
  var frozen: Set<Int> = []

  mutating func input(_ columns: Int? = nil) throws -> Value {
    let matrix = Matrix(random: size.rows, columns ?? size.columns, &generator)
    inputs.append(try test.input(matrix, planned: size.planned))
    return inputs[inputs.count - 1]
  }

  mutating func weight(_ rows: Int, _ columns: Int) throws -> Value {
    try test.graph.constant(try Matrix(random: rows, columns, &generator).tensor())
  }

  mutating func vector(_ columns: Int) throws -> Value {
    try test.graph.constant(try Matrix(random: 1, columns, &generator).vector())
  }

  mutating func ids(below count: Int) throws -> Value {
    let values = (0..<size.rows).map { _ in
      UInt32.random(in: 0..<UInt32(count), using: &generator)
    }
    return try test.input(values, planned: size.planned)
  }

  /// Ids of some rows, in order; at least one.
  mutating func selection() throws -> Value {
    let some = (0..<UInt32(size.rows)).filter { _ in Bool.random(using: &generator) }
    return try test.input(some.isEmpty ? [0] : some, planned: size.planned, live: .selected)
  }

  mutating func seed() throws -> Value {
    try test.input([
      UInt32.random(in: 0...UInt32.max, using: &generator),
      UInt32.random(in: 0...UInt32.max, using: &generator),
    ])
  }

  /// The cosines and sines of random angles.
  mutating func rotary() throws -> Value {
    let table = try input(size.headDim)
    inputs.removeLast()
    return table
  }

  mutating func sequences() throws -> (starts: Value, ends: Value) {
    var starts: [UInt32] = []
    var ends: [UInt32] = []
    for count in size.sequences {
      let start = UInt32(starts.count)
      starts += [UInt32](repeating: start, count: count)
      ends += [UInt32](repeating: start + UInt32(count), count: count)
    }
    return (
      try test.input(starts, planned: size.planned), try test.input(ends, planned: size.planned)
    )
  }

  mutating func attention(
    heads: Int,
    kvHeads: Int,
    isCausal: Bool,
    dropout: Float? = nil
  ) throws -> Value {
    let seed = try dropout.map { _ in try self.seed() }
    let (starts, ends) = try sequences()
    return try test.graph.packedAttention(
      q: try input(heads * size.headDim),
      keys: try input(kvHeads * size.headDim),
      values: try input(kvHeads * size.headDim),
      starts: starts,
      ends: ends,
      seed: seed,
      PackedAttention(
        heads: heads,
        kvHeads: kvHeads,
        isCausal: isCausal,
        sequenceTokensMax: size.sequences.max() ?? 1,
        dropout: dropout.map { Dropout(probability: $0, stream: 7) }
      )
    )
  }

  /// Adds a loss over `value`: with random labels, one of them ignored.
  mutating func loss(_ value: Value) throws -> Value {
    let node = test.graph[value]
    let rows = node.live.map { $0 == .all ? size.rows : test.selectedRows } ?? node.shape[0]
    var labels = (0..<rows).map { _ in
      UInt32.random(in: 0..<UInt32(node.shape.columns), using: &generator)
    }
    if rows > 2 { labels[1] = Graph.ignoredLabel }
    let scale = try test.graph.constant(try Matrix(1, 1, [0.37]).vector("scale"))
    frozen.insert(test.graph.constants.count - 1)
    return try test.graph.crossEntropy(
      logits: value,
      labels: try test.input(
        labels,
        planned: node.live == nil ? nil : size.planned,
        live: node.live ?? .all
      ),
      scale: scale
    )
  }
}

extension GradientCase {
  static let all: [GradientCase] =
    elementwise + rows + attentions + [
      GradientCase(name: "embedding") { make in
        let table = try make.weight(5, make.size.columns)
        return try make.test.graph.embedding(table: table, ids: try make.ids(below: 5))
      },
      GradientCase(name: "one weight in two products") { make in
        let weight = try make.weight(3, make.size.columns)
        return try make.test.graph.add(
          try make.test.graph.linear(try make.input(), weight: weight),
          try make.test.graph.linear(try make.input(), weight: weight)
        )
      },
      GradientCase(name: "selected rows") { make in
        let x = try make.input()
        let ids = try make.selection()
        let (some, same) = (
          try make.test.graph.embedding(table: x, ids: ids),
          try make.test.graph.embedding(table: try make.test.graph.tanh(x), ids: ids)
        )
        let weight = try make.weight(3, make.size.columns)
        return try make.test.graph.linear(try make.test.graph.add(some, same), weight: weight)
      },
      GradientCase(name: "linear with bias") { make in
        let columns = make.size.columns
        return try make.test.graph.linear(
          try make.input(),
          weight: try make.weight(columns + 2, columns),
          bias: try make.vector(columns + 2)
        )
      },
      GradientCase(name: "linear") { make in
        let weight = try make.weight(3, make.size.columns)
        return try make.test.graph.linear(try make.input(), weight: weight)
      },
      GradientCase(name: "matmul") { make in
        let rhs = try make.weight(make.size.columns, 4)
        return try make.test.graph.matmul(try make.input(), rhs)
      },
      GradientCase(name: "matmul with an addend") { make in
        let rhs = try make.weight(make.size.columns, 4)
        return try make.test.graph.matmul(try make.input(), rhs, addend: try make.input(4))
      },
      GradientCase(name: "gradients of three products and a residual add up") { make in
        let columns = make.size.columns
        let x = try make.test.graph.tanh(try make.input())
        var sum = x
        for _ in 0..<3 {
          let product = try make.test.graph.linear(x, weight: try make.weight(columns, columns))
          // Bounded, so that the loss is well conditioned in f32 too.
          sum = try make.test.graph.add(sum, try make.test.graph.tanh(product))
        }
        return try make.test.graph.add(sum, x)
      },
      GradientCase(name: "tied embedding, residual, a value used three times") { make in
        let table = try make.weight(6, make.size.columns)
        var x = try make.test.graph.embedding(table: table, ids: try make.ids(below: 6))
        x = try make.test.graph.add(x, try make.test.graph.silu(x))
        x = try make.test.graph.multiply(x, x)
        return try make.test.graph.linear(x, weight: table)
      },
    ]

  private static let elementwise: [GradientCase] = [
    GradientCase(name: "add") { make in try make.test.graph.add(try make.input(), try make.input())
    },
    GradientCase(name: "add a row") { make in
      try make.test.graph.add(try make.input(), try make.vector(make.size.columns))
    },
    GradientCase(name: "add a matrix row") { make in
      try make.test.graph.add(try make.input(), try make.weight(1, make.size.columns))
    },
    GradientCase(name: "multiply") { make in
      try make.test.graph.multiply(try make.input(), try make.input())
    },
    GradientCase(name: "multiply by a row") { make in
      try make.test.graph.multiply(try make.input(), try make.vector(make.size.columns))
    },
    GradientCase(name: "multiply a constant twice") { make in
      let weight = try make.weight(3, make.size.columns)
      return try make.test.graph.multiply(weight, weight)
    },
    GradientCase(name: "add a constant to itself") { make in
      let weight = try make.weight(3, make.size.columns)
      return try make.test.graph.add(weight, weight)
    },
    GradientCase(name: "silu") { make in try make.test.graph.silu(try make.input()) },
    GradientCase(name: "siluMultiply") { make in
      try make.test.graph.siluMultiply(gate: try make.input(), up: try make.input())
    },
    GradientCase(name: "gelu") { make in try make.test.graph.gelu(try make.input()) },
    GradientCase(name: "tanh") { make in try make.test.graph.tanh(try make.input()) },
    GradientCase(name: "dropout") { make in
      let seed = try make.seed()
      return try make.test.graph.dropout(
        try make.input(),
        seed: seed,
        Dropout(probability: 0.3, stream: 2)
      )
    },
  ]

  private static let rows: [GradientCase] = [
    GradientCase(name: "softmax") { make in try make.test.graph.softmax(try make.input()) },
    GradientCase(name: "rmsNorm") { make in
      let weight = try make.vector(make.size.columns)
      return try make.test.graph.rmsNorm(try make.input(), weight: weight, epsilon: 1e-6)
    },
    GradientCase(name: "layerNorm") { make in
      let columns = make.size.columns
      return try make.test.graph.layerNorm(
        try make.input(),
        weight: try make.vector(columns),
        bias: try make.vector(columns),
        epsilon: 1e-12
      )
    },
    GradientCase(name: "rope") { make in
      let table = try make.rotary()
      return try make.test.graph.rope(try make.input(3 * make.size.headDim), table: table)
    },
    GradientCase(name: "rope backwards") { make in
      let table = try make.rotary()
      return try make.test.graph.rope(
        try make.input(3 * make.size.headDim),
        table: table,
        isInverse: true
      )
    },
    GradientCase(name: "sliceRows") { make in
      try make.test.graph.sliceRows(try make.weight(5, make.size.columns), 1..<4)
    },
    GradientCase(name: "a segment's row") { make in
      let segment = try make.test.graph.sliceRows(try make.weight(2, make.size.columns), 0..<1)
      return try make.test.graph.add(try make.input(), segment)
    },
    GradientCase(name: "sliceColumns") { make in
      try make.test.graph.sliceColumns(try make.input(), 1..<make.size.columns)
    },
    GradientCase(name: "lastRow") { make in try make.test.graph.lastRow(try make.input()) },
    GradientCase(name: "crossEntropy") { make in try make.input() },
  ]

  private static let attentions: [GradientCase] = [
    GradientCase(name: "full attention") { make in
      try make.attention(heads: 3, kvHeads: 3, isCausal: false)
    },
    GradientCase(name: "causal attention, grouped queries") { make in
      try make.attention(heads: 4, kvHeads: 2, isCausal: true)
    },
    GradientCase(name: "full attention with dropout, grouped queries") { make in
      try make.attention(heads: 4, kvHeads: 1, isCausal: false, dropout: 0.4)
    },
    GradientCase(name: "causal attention with dropout") { make in
      try make.attention(heads: 2, kvHeads: 2, isCausal: true, dropout: 0.2)
    },
  ]
}
