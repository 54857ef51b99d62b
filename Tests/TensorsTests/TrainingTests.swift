import Foundation
import Tensors
import Testing

@Suite("Training graphs")
struct TrainingTests {
  private let threads = ThreadPool(threadCount: 2)

  /// A parameter, its gradient of zeros, and what a run needs.
  private func makeClassifier(
    labels: [UInt32],
    starts: [UInt32],
    ends: [UInt32],
    longest: Int = 8
  ) throws -> (GraphUnderTest, Tensor) {
    var generator = SeededGenerator(seed: 5)
    var test = GraphUnderTest()
    let x = try test.input(Matrix(random: labels.count, 4, &generator), planned: 16)
    let (first, last) = (try test.input(starts, planned: 16), try test.input(ends, planned: 16))
    let weight = try test.graph.constant(try Matrix(random: 4, 4, &generator).tensor())
    let q = try test.graph.linear(x, weight: weight)
    let attended = try test.graph.packedAttention(
      q: q,
      keys: x,
      values: x,
      starts: first,
      ends: last,
      PackedAttention(heads: 2, kvHeads: 2, isCausal: false, sequenceTokensMax: longest)
    )
    let loss = try test.graph.crossEntropy(
      logits: attended,
      labels: try test.input(labels, planned: 16),
      scale: try test.graph.constant(try Matrix(1, 1, [1]).vector())
    )
    let gradient = try Matrix(4, 4, [Float](repeating: 0, count: 16)).tensor("gradient")
    _ = try test.graph.differentiate(loss, parameters: [0: gradient])
    test.graph.output(loss)
    return (test, gradient)
  }

  private func run(_ test: GraphUnderTest, rows: Int) throws {
    let executor = Executor(threads: threads, arenaBytesMax: 1 << 20)
    try executor.load(try Program(test.graph, threadCount: 2))
    for (index, values) in test.floats {
      try values.withUnsafeBufferPointer { try executor.setInput(index, $0) }
    }
    for (index, values) in test.integers {
      try values.withUnsafeBufferPointer { try executor.setInput(index, $0) }
    }
    try executor.run(liveRows: rows)
  }

  @Test("A label that is no class is an error before a gradient is touched")
  func labelOutOfRange() throws {
    let (test, gradient) = try makeClassifier(
      labels: [0, Graph.ignoredLabel, 4],
      starts: [0, 0, 0],
      ends: [3, 3, 3]
    )
    let error = #expect(throws: TensorError.self) { try run(test, rows: 3) }
    #expect(error?.code == .indexOutOfRange)
    #expect(error?.message == "crossEntropy: label 4 at row 2, there are 4 classes")
    #expect(gradient.storage.elements(of: Float.self)[..<16].allSatisfy { $0 == 0 })
  }

  @Test(
    "Sequences that do not tile the rows are an error before anything runs",
    arguments: [
      ([1, 1, 1], [3, 3, 3]), ([0, 0, 0], [0, 3, 3]), ([0, 0, 0], [4, 4, 4]),
      ([0, 0, 1], [2, 2, 3]), ([0, 1, 1], [2, 3, 3]), ([0, 0, 2], [2, 2, UInt32.max]),
      ([0, 0, 0], [3, 2, 3]), ([UInt32.max, 0, 0], [3, 3, 3]),
    ] as [([UInt32], [UInt32])]
  )
  func inconsistentSequences(starts: [UInt32], ends: [UInt32]) throws {
    let (test, gradient) = try makeClassifier(labels: [0, 1, 2], starts: starts, ends: ends)
    let error = #expect(throws: TensorError.self) { try run(test, rows: 3) }
    #expect(error?.code == .invalidArgument)
    #expect(error?.message.hasPrefix("packedAttention: row ") == true)
    #expect(gradient.storage.elements(of: Float.self)[..<16].allSatisfy { $0 == 0 })
  }

  @Test("A sequence longer than planned is an error")
  func longSequence() throws {
    let (test, _) = try makeClassifier(
      labels: [0, 1, 2],
      starts: [0, 0, 0],
      ends: [3, 3, 3],
      longest: 2
    )
    let error = #expect(throws: TensorError.self) { try run(test, rows: 3) }
    #expect(
      error?.message
        == "packedAttention: row 0 has start 0, end 3: the longest sequence is 2"
    )
  }

  @Test(
    "A dropout probability outside 0..<1 is refused",
    arguments: [-0.1, 1, 1.5, .nan] as [Float]
  )
  func probability(probability: Float) throws {
    var graph = Graph()
    let x = try graph.input(dtype: .float32, shape: try Shape([2, 4]))
    let seed = try graph.input(dtype: .uint32, shape: try Shape([2]))
    let rows = try graph.input(dtype: .uint32, shape: try Shape([2]))
    let dropout = Dropout(probability: probability, stream: 0)
    var error = #expect(throws: TensorError.self) {
      try graph.dropout(x, seed: seed, dropout)
    }
    #expect(error?.code == .invalidArgument)
    error = #expect(throws: TensorError.self) {
      try graph.packedAttention(
        q: x,
        keys: x,
        values: x,
        starts: rows,
        ends: rows,
        seed: seed,
        PackedAttention(
          heads: 1,
          kvHeads: 1,
          isCausal: false,
          sequenceTokensMax: 2,
          dropout: dropout
        )
      )
    }
    #expect(error?.code == .invalidArgument)
  }

  @Test("Gradients through operations without one, and of what the loss does not see, are refused")
  func refusals() throws {
    var graph = Graph()
    let x = try graph.input(dtype: .float32, shape: try Shape([3, 4]))
    let unused = try graph.input(dtype: .float32, shape: try Shape([3, 4]))
    let labels = try graph.input(dtype: .uint32, shape: try Shape([3]))
    let scale = try graph.constant(try Matrix(1, 1, [1]).vector())
    let attended = try graph.attention(q: x, keys: x, values: x, heads: 2)
    let loss = try graph.crossEntropy(logits: attended, labels: labels, scale: scale)
    func message(_ loss: Value, _ parameters: [Int: Tensor], _ inputs: [Value]) -> String? {
      var copy = graph
      return #expect(throws: TensorError.self) {
        try copy.differentiate(loss, parameters: parameters, inputs: inputs)
      }?.message
    }
    #expect(
      message(loss, [:], [x]) == "differentiate: attention has no gradient; use packedAttention"
    )
    #expect(
      message(loss, [:], [unused]) == "differentiate: the loss does not depend on input [3,4]"
    )
    #expect(message(attended, [:], []) == "differentiate: the loss is [3,4]")
    #expect(message(loss, [:], [labels]) == "differentiate: a gradient of u32 [3]")
    let one = try Matrix(1, 1, [0]).vector("g")
    #expect(
      message(loss, [0: one], [])
        == "differentiate: crossEntropy has no gradient for its input 2, constant [1]"
    )
    #expect(
      message(loss, [1: one], []) == "differentiate: gradient g [1] for no constant 1"
    )
  }

  @Test("A seed gives one mask, about the given part of the elements, whatever the rows planned")
  func dropoutMask() throws {
    let (rows, columns) = (400, 257)
    let ones = Matrix(rows, columns, [Float](repeating: 1, count: rows * columns))
    func mask(_ seed: [UInt32], stream: UInt32, probability: Float, planned: Int) throws -> [Float]
    {
      try evaluate(threads: threads, liveRows: rows) { test in
        let x = try test.input(ones, planned: planned)
        let seeds = try test.input(seed)
        return try test.graph.dropout(
          x,
          seed: seeds,
          Dropout(probability: probability, stream: stream)
        )
      }
    }
    let first = try mask([1, 2], stream: 0, probability: 0.1, planned: 400)
    #expect(first == (try mask([1, 2], stream: 0, probability: 0.1, planned: 512)))
    let others = [
      try mask([1, 3], stream: 0, probability: 0.1, planned: 400),
      try mask([2, 2], stream: 0, probability: 0.1, planned: 400),
      try mask([1, 2], stream: 1, probability: 0.1, planned: 400),
    ]
    let count = Double(rows * columns)
    for other in others {
      // Independent masks agree in a part of 0.9^2 + 0.1^2 of the places.
      let same = zip(first, other).count { $0 == $1 }
      #expect(abs(Double(same) / count - 0.82) < 0.01)
    }
    for probability in [0, 0.1, 0.5, 0.99] as [Float] {
      let values = try mask([9, 9], stream: 3, probability: probability, planned: 400)
      let dropped = values.count { $0 == 0 }
      // Four standard deviations.
      let deviation = (Double(probability * (1 - probability)) / count).squareRoot()
      #expect(abs(Double(dropped) / count - Double(probability)) <= 4 * deviation)
      #expect(values.allSatisfy { $0 == 0 || abs($0 * (1 - probability) - 1) < 1e-5 })
    }
    // Neither rows nor columns repeat each other.
    let dropped = (0..<columns).map { column in
      (0..<rows).count { first[$0 * columns + column] == 0 }
    }
    #expect(dropped.allSatisfy { (10...80).contains($0) })
    let rowSums = (0..<rows).map { row in
      (0..<columns).count { first[row * columns + $0] == 0 }
    }
    #expect(rowSums.allSatisfy { (5...60).contains($0) })
  }

  @Test("Destinations need no arena, and forward values live until the reverse pass has read them")
  func plan() throws {
    let (test, _) = try makeClassifier(labels: [0], starts: [0], ends: [1])
    let program = try Program(test.graph, threadCount: 1)
    for (index, node) in program.graph.nodes.enumerated() {
      if node.destination != nil { #expect(program.plan.outputs[index] == nil) }
      for input in node.inputs {
        #expect(program.plan.outputs[input.index]?.lifetime.contains(index) ?? true)
      }
    }
    #expect(program.graph.nodes.count { $0.destination != nil } == 1)
    // What only the returned gradients would need is not there.
    #expect(program.graph.nodes.count { $0.operation == .matmul } == 0)
  }

  @Test("Steps after the first use the same memory, and add to the gradients each time")
  func memory() throws {
    let (test, gradient) = try makeClassifier(labels: [0, 3], starts: [0, 0], ends: [2, 2])
    let executor = Executor(threads: threads, arenaBytesMax: 1 << 20)
    let program = try Program(test.graph, threadCount: 2)
    var addresses: Set<UnsafePointer<Float>?> = []
    var sums: [[Float]] = []
    for _ in 0..<3 {
      try executor.load(program)
      for (index, values) in test.floats {
        try values.withUnsafeBufferPointer { try executor.setInput(index, $0) }
      }
      for (index, values) in test.integers {
        try values.withUnsafeBufferPointer { try executor.setInput(index, $0) }
      }
      try executor.run(liveRows: 2)
      addresses.insert(executor.output(0).baseAddress)
      sums.append(Array(gradient.storage.elements(of: Float.self)[..<16]))
    }
    #expect(addresses.count == 1)
    #expect(sums[0].contains { $0 != 0 })
    #expect(zip(sums[0], sums[2]).allSatisfy { abs(3 * $0 - $1) <= 1e-5 * abs($1) })
  }
}
