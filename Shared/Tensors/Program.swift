/// A graph that is ready to run: dead nodes removed, memory planned, operands resolved.
///
/// Immutable; any number of executors may run it, at the same time unless it has destinations. It
/// keeps the weights and the destinations alive.
package struct Program: Sendable {
  /// The graph after the passes.
  package let graph: Graph
  /// Where its buffers lie.
  package let plan: MemoryPlan
  /// The threads that scratch memory has been planned for.
  package let threadCount: Int

  let steps: [Step]
  /// The steps that run side by side, in order.
  let stages: [Range<Int>]
  /// Where each input lies in the arena, and how many elements it holds; nil when nothing reads it.
  let inputs: [(offset: Int, node: Node)?]

  /// Bytes of the arena that a run needs; known before the first run.
  package var peakBytes: Int { plan.peakBytes }

  /// Compiles `graph` for executors of at most `threadCount` threads.
  ///
  /// Throws `invalidArgument` for dimensions that OpenBLAS cannot index, `memoryLimit` when the
  /// plan overflows.
  package init(_ graph: Graph, threadCount: Int) throws(TensorError) {
    let graph = graph.eliminatingDeadNodes()
    for node in graph.nodes {
      guard node.shape.dimensions.allSatisfy({ $0 <= Int(Int32.max) }) else {
        throw TensorError(
          .invalidArgument,
          "\(node.operation.name): \(node.shape) has a dimension above 2^31-1"
        )
      }
    }
    let plan = try MemoryPlan(graph) {
      Step.scratchBytesShared(of: $0, graph) + Step.scratchBytes(of: $0, graph) * threadCount
    }
    self.graph = graph
    self.plan = plan
    self.threadCount = threadCount
    var steps: [Step] = []
    var stages: [Range<Int>] = []
    var open: ClosedRange<Int>?
    for (index, stage) in graph.stages().enumerated() {
      guard let step = Step(node: index, graph: graph, plan: plan) else { continue }
      if stage == open, let last = stages.popLast() {
        stages.append(last.lowerBound..<steps.count + 1)
      } else {
        stages.append(steps.count..<steps.count + 1)
      }
      open = stage
      steps.append(step)
    }
    (self.steps, self.stages) = (steps, stages)
    inputs = graph.inputs.map { value in
      value.flatMap { value in
        plan.outputs[value.index].map { ($0.offset, graph[value]) }
      }
    }
  }
}
