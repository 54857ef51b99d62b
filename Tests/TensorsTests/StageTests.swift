import Tensors
import Testing

@Suite("Stages")
struct StageTests {
  @Test("The nodes of a stage need nothing of each other, in random graphs", arguments: 0..<100)
  func randomGraphs(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    var graph = Graph()
    var values = [try graph.input(dtype: .float32, shape: try Shape([8, 8]))]
    let weights = try (0..<3).map { _ in
      try graph.constant(try Matrix(random: 8, 8, &generator).tensor())
    }
    for _ in 0..<Int.random(in: 1...40, using: &generator) {
      guard let x = values.randomElement(using: &generator),
        let y = values.randomElement(using: &generator),
        let weight = weights.randomElement(using: &generator)
      else { continue }
      switch Int.random(in: 0..<4, using: &generator) {
      case 0: values.append(try graph.silu(x))
      case 1: values.append(try graph.linear(x, weight: weight))
      case 2: values.append(try graph.matmul(x, y))
      default: values.append(try graph.matmulTransposed(x, y))
      }
    }
    let stages = graph.stages()
    #expect(stages.count == graph.nodes.count)
    var next = 0
    while next < stages.count {
      let stage = stages[next]
      #expect(stage.lowerBound == next)
      let computing = stage.filter { !graph.nodes[$0].isData }
      #expect(computing.count <= Graph.stageNodesMax)
      for index in stage {
        #expect(stages[index] == stage)
        for input in graph.nodes[index].inputs where stage.contains(input.index) {
          #expect(graph.nodes[input.index].isData)
        }
      }
      next = stage.upperBound + 1
    }
  }

  @Test("Products of one value share a stage; one that reads another's result waits")
  func products() throws {
    var graph = Graph()
    let x = try graph.input(dtype: .float32, shape: try Shape([4, 4]))
    var generator = SeededGenerator(seed: 1)
    let weights = try (0..<3).map { _ in
      try graph.constant(try Matrix(random: 4, 4, &generator).tensor())
    }
    let (q, k) = (
      try graph.linear(x, weight: weights[0]), try graph.linear(x, weight: weights[1])
    )
    let after = try graph.linear(q, weight: weights[2])
    let stages = graph.stages()
    #expect(stages[q.index] == stages[k.index])
    #expect(stages[after.index] != stages[q.index])
  }

  @Test("Gradients that go to one tensor are added one after another")
  func destinations() throws {
    var generator = SeededGenerator(seed: 2)
    var graph = Graph()
    let weight = try Matrix(random: 4, 4, &generator).tensor()
    let gradient = try Matrix(random: 4, 4, &generator).tensor()
    let constant = try graph.constant(weight)
    let x = try graph.input(dtype: .float32, shape: try Shape([4, 4]))
    let y = try graph.input(dtype: .float32, shape: try Shape([4, 4]))
    let product = try graph.add(
      try graph.linear(x, weight: constant),
      try graph.linear(y, weight: constant)
    )
    let labels = try graph.input(dtype: .uint32, shape: try Shape([4]))
    let scale = try graph.constant(try Matrix(1, 1, [1]).vector("scale"))
    let loss = try graph.crossEntropy(logits: product, labels: labels, scale: scale)
    _ = try graph.differentiate(loss, parameters: [0: gradient])
    let stages = graph.stages()
    let writers = graph.nodes.indices.filter { graph.nodes[$0].destination != nil }
    #expect(writers.count == 2)
    #expect(Set(writers.map { stages[$0] }).count == writers.count)
  }
}

extension Node {
  /// Whether it computes nothing.
  fileprivate var isData: Bool {
    switch operation {
    case .input, .constant: true
    default: false
    }
  }
}
