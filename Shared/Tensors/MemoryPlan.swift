/// Where each buffer of a graph lies in one arena: two buffers share bytes only when they are
/// never needed at the same time.
///
/// Buffers are placed largest first, each into the smallest gap that fits between the placed
/// buffers whose lifetimes overlap its own ("greedy by size" of Pisarchyk and Lee, "Efficient
/// Memory Management for Deep Neural Net Inference", 2020).
package struct MemoryPlan: Sendable {
  /// One buffer of the arena.
  package struct Buffer: Sendable {
    /// From the start of the arena; a multiple of `Storage.alignment`.
    package let offset: Int
    /// Bytes reserved; a multiple of `Storage.alignment`.
    package let byteCount: Int
    /// Indices of the nodes during which the buffer holds data, from the one that writes it to the
    /// last that reads it, both included, with those of their stages.
    package let lifetime: ClosedRange<Int>
  }

  /// The output of each node; nil for constants and for nodes with a destination, which live
  /// outside the arena.
  package let outputs: [Buffer?]
  /// The scratch of each node, if it needs any.
  package let scratch: [Buffer?]
  /// Bytes of the whole arena.
  package let peakBytes: Int

  /// Every buffer, outputs and scratch.
  package var buffers: [Buffer] { outputs.compactMap { $0 } + scratch.compactMap { $0 } }

  private struct Request {
    let node: Int
    let isScratch: Bool
    let byteCount: Int
    let lifetime: ClosedRange<Int>
  }

  /// Plans the arena of `graph`; `scratchBytes` gives what each node needs while it runs.
  ///
  /// Throws `memoryLimit` when the sizes overflow.
  package init(_ graph: Graph, scratchBytes: (Node) -> Int) throws(TensorError) {
    let requests = try MemoryPlan.requests(of: graph, scratchBytes: scratchBytes)
    var outputs = [Buffer?](repeating: nil, count: graph.nodes.count)
    var scratch = outputs
    var placed: [Buffer] = []  // by offset
    var peak = 0
    let bySize = requests.sorted {
      ($1.byteCount, $0.node, $0.isScratch ? 1 : 0) < ($0.byteCount, $1.node, $1.isScratch ? 1 : 0)
    }
    for request in bySize {
      let offset = MemoryPlan.offset(for: request, among: placed)
      let (end, overflow) = offset.addingReportingOverflow(request.byteCount)
      guard !overflow else {
        throw TensorError(.memoryLimit, "memory plan: the arena exceeds the address space")
      }
      let buffer = Buffer(
        offset: offset,
        byteCount: request.byteCount,
        lifetime: request.lifetime
      )
      let position = placed.firstIndex { $0.offset > offset } ?? placed.count
      placed.insert(buffer, at: position)
      peak = max(peak, end)
      if request.isScratch {
        scratch[request.node] = buffer
      } else {
        outputs[request.node] = buffer
      }
    }
    self.outputs = outputs
    self.scratch = scratch
    peakBytes = peak
  }

  /// The start of the smallest gap that holds `request`, or the end of all that conflict with it.
  private static func offset(for request: Request, among placed: [Buffer]) -> Int {
    var end = 0
    var best: (offset: Int, slack: Int)?
    for other in placed where other.lifetime.overlaps(request.lifetime) {
      let slack = other.offset - end - request.byteCount
      if slack >= 0, slack < best?.slack ?? Int.max { best = (end, slack) }
      end = max(end, other.offset + other.byteCount)
    }
    return best?.offset ?? end
  }

  private static func requests(
    of graph: Graph,
    scratchBytes: (Node) -> Int
  ) throws(TensorError) -> [Request] {
    var lastUse = Array(graph.nodes.indices)
    for (index, node) in graph.nodes.enumerated() {
      for input in node.inputs { lastUse[input.index] = index }
    }
    for output in graph.outputs { lastUse[output.index] = graph.nodes.count }
    let stages = graph.stages()
    var requests: [Request] = []
    for (index, node) in graph.nodes.enumerated() {
      let scratch = scratchBytes(node)
      if scratch > 0 {
        requests.append(
          Request(
            node: index,
            isScratch: true,
            byteCount: try align(scratch),
            lifetime: stages[index]
          )
        )
      }
      if case .constant = node.operation { continue }
      if node.destination != nil { continue }
      // Inputs are written before the first node runs.
      var first = stages[index].lowerBound
      if case .input = node.operation { first = 0 }
      let last =
        lastUse[index] < graph.nodes.count ? stages[lastUse[index]].upperBound : lastUse[index]
      requests.append(
        Request(
          node: index,
          isScratch: false,
          byteCount: try align(node.shape.elementCount * node.dtype.byteCount),
          lifetime: first...last
        )
      )
    }
    return requests
  }

  private static func align(_ byteCount: Int) throws(TensorError) -> Int {
    let (sum, overflow) = byteCount.addingReportingOverflow(Storage.alignment - 1)
    guard !overflow else {
      throw TensorError(.memoryLimit, "memory plan: a buffer of \(byteCount) bytes")
    }
    return sum / Storage.alignment * Storage.alignment
  }
}
