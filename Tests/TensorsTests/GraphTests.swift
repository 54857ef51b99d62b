import Tensors
import Testing

@Suite("Graphs")
struct GraphTests {
  private func shaped(
    _ graph: inout Graph,
    _ dimensions: [Int],
    live: LiveRows? = nil
  ) throws -> Value {
    try graph.input(dtype: .float32, shape: try Shape(dimensions), live: live)
  }

  private func message(_ build: (inout Graph) throws -> Void) -> String {
    var graph = Graph()
    do {
      try build(&graph)
      return "no error"
    } catch let error as TensorError {
      return error.message
    } catch {
      return "\(error)"
    }
  }

  @Test("A shape error names the operation and the shapes")
  func shapeErrors() {
    #expect(
      message { graph in
        let (lhs, rhs) = (try shaped(&graph, [2, 3]), try shaped(&graph, [4, 5]))
        _ = try graph.matmul(lhs, rhs)
      } == "matmul: lhs [2,3], rhs [4,5]"
    )
    #expect(
      message { graph in
        let (x, weight) = (try shaped(&graph, [2, 3]), try shaped(&graph, [4, 3]))
        _ = try graph.linear(x, weight: weight, bias: try shaped(&graph, [5]))
      } == "linear: x [2,3], weight [4,3], bias [5]"
    )
    #expect(
      message { graph in
        let (lhs, rhs) = (try shaped(&graph, [2, 3], live: .all), try shaped(&graph, [2, 3]))
        _ = try graph.add(lhs, rhs)
      } == "add: lhs [2,3] (live rows), rhs [2,3]"
    )
    #expect(
      message { graph in
        let x = try shaped(&graph, [2, 3])
        _ = try graph.rmsNorm(x, weight: try shaped(&graph, [2]), epsilon: 1e-6)
      } == "rmsNorm: x [2,3], weight [2]"
    )
    #expect(
      message { graph in
        let ids = try shaped(&graph, [2])
        _ = try graph.embedding(table: try shaped(&graph, [9, 4]), ids: ids)
      } == "embedding: table [9,4], ids [2]"
    )
    #expect(
      message { graph in
        let (q, keys) = (try shaped(&graph, [2, 12]), try shaped(&graph, [2, 9]))
        _ = try graph.cachedAttention(
          q: q,
          keys: keys,
          values: keys,
          CachedAttention(layer: 0, heads: 4, kvHeads: 2, contextTokens: 8)
        )
      } == "cachedAttention 4/2 heads: q [2,12], keys [2,9], values [2,9]"
    )
    #expect(
      message { graph in
        _ = try graph.sliceRows(try shaped(&graph, [2, 3]), 1..<3)
      } == "sliceRows 1..<3: x [2,3]"
    )
  }

  @Test("Heads that do not divide are refused")
  func heads() {
    #expect(
      message { graph in
        let q = try shaped(&graph, [2, 12])
        _ = try graph.cachedAttention(
          q: q,
          keys: q,
          values: q,
          CachedAttention(layer: 0, heads: 4, kvHeads: 3, contextTokens: 8)
        )
      }.hasPrefix("cachedAttention: ")
    )
  }

  @Test("Dead nodes are removed, what outputs and side effects need stays")
  func deadNodes() throws {
    var graph = Graph()
    let x = try shaped(&graph, [2, 8])
    let unused = try shaped(&graph, [2, 8])
    let kept = try graph.silu(x)
    _ = try graph.gelu(try graph.add(unused, x))
    let appended = try graph.softmax(x)
    _ = try graph.cachedAttention(
      q: x,
      keys: appended,
      values: x,
      CachedAttention(layer: 0, heads: 2, kvHeads: 2, contextTokens: 8)
    )
    let output = try graph.multiply(kept, x)
    graph.output(output)
    let live = graph.eliminatingDeadNodes()
    #expect(
      live.nodes.map(\.operation.name) == [
        "input", "silu", "softmax", "cachedAttention", "multiply",
      ]
    )
    #expect(live.inputs[1] == nil)
    for (index, node) in live.nodes.enumerated() {
      #expect(node.inputs.allSatisfy { $0.index < index })
    }
    #expect(live[live.outputs[0]].operation == .multiply)
  }
}
