import Tensors
import Testing

@Suite("Memory plans")
struct MemoryPlanTests {
  @Test("No two live buffers overlap, in random graphs", arguments: 0..<200)
  func randomGraphs(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    let graph = try randomGraph(&generator)
    let plan = try MemoryPlan(graph) { node in node.shape.columns % 3 == 0 ? 100 : 0 }
    let buffers = plan.buffers
    for (index, buffer) in buffers.enumerated() {
      #expect(buffer.offset % Storage.alignment == 0)
      #expect(buffer.offset + buffer.byteCount <= plan.peakBytes)
      for other in buffers[..<index] where other.lifetime.overlaps(buffer.lifetime) {
        let isApart =
          other.offset + other.byteCount <= buffer.offset
          || buffer.offset + buffer.byteCount <= other.offset
        #expect(isApart)
      }
    }
    // Every node that reads a value does so within the life of its buffer, and so do those that
    // run beside it.
    let stages = graph.stages()
    for (index, node) in graph.nodes.enumerated() {
      #expect(plan.outputs[index]?.lifetime.contains(stages[index].lowerBound) ?? true)
      #expect(plan.outputs[index]?.lifetime.contains(stages[index].upperBound) ?? true)
      #expect(plan.scratch[index].map { $0.lifetime == stages[index] } ?? true)
      for input in node.inputs {
        #expect(plan.outputs[input.index]?.lifetime.contains(stages[index].upperBound) ?? true)
      }
    }
    #expect(plan.peakBytes <= buffers.reduce(0) { $0 + $1.byteCount })
    #expect(plan.peakBytes >= largestMoment(buffers, nodes: graph.nodes.count))
  }

  @Test("A chain of any length needs two buffers")
  func chain() throws {
    var graph = Graph()
    var value = try graph.input(dtype: .float32, shape: try Shape([16, 16]))
    for _ in 0..<50 { value = try graph.silu(value) }
    graph.output(value)
    #expect(try MemoryPlan(graph) { _ in 0 }.peakBytes == 2 * 16 * 16 * 4)
  }

  @Test("An output that is read early keeps its memory to the end")
  func outputs() throws {
    var graph = Graph()
    let x = try graph.input(dtype: .float32, shape: try Shape([4, 16]))
    let early = try graph.silu(x)
    graph.output(early)
    var value = try graph.gelu(early)
    for _ in 0..<5 { value = try graph.silu(value) }
    graph.output(value)
    let plan = try MemoryPlan(graph) { _ in 0 }
    #expect(plan.outputs[early.index]?.lifetime.upperBound == graph.nodes.count)
  }

  /// The sum of the buffers that live at once at the worst moment: no plan can be below it.
  private func largestMoment(_ buffers: [MemoryPlan.Buffer], nodes: Int) -> Int {
    (0...nodes).map { moment in
      buffers.reduce(0) { $0 + ($1.lifetime.contains(moment) ? $1.byteCount : 0) }
    }.max() ?? 0
  }

  private func randomGraph(_ generator: inout SeededGenerator) throws -> Graph {
    var graph = Graph()
    let rows = Int.random(in: 1...9, using: &generator)
    var values = try (0..<3).map { _ in
      let columns = Int.random(in: 1...40, using: &generator)
      return try graph.input(dtype: .float32, shape: try Shape([rows, columns]))
    }
    for _ in 0..<Int.random(in: 1...60, using: &generator) {
      guard let x = values.randomElement(using: &generator) else { continue }
      switch Int.random(in: 0..<4, using: &generator) {
      case 0: values.append(try graph.silu(x))
      case 1:
        let same = values.filter { graph[$0].shape == graph[x].shape }
        values.append(try graph.add(x, same.randomElement(using: &generator) ?? x))
      case 2:
        let n = Int.random(in: 1...40, using: &generator)
        let k = graph[x].shape.columns
        let weight = try Tensor(
          name: "w",
          shape: try Shape([n, k]),
          values: [Float](repeating: 1, count: n * k)
        )
        values.append(try graph.linear(x, weight: try graph.constant(weight)))
      default: values.append(try graph.softmax(x))
      }
    }
    for _ in 0..<Int.random(in: 1...3, using: &generator) {
      if let output = values.randomElement(using: &generator) { graph.output(output) }
    }
    return graph
  }
}
