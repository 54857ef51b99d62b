import Foundation
import Tensors
import Testing

@Suite("Gradients")
struct GradientTests {
  private static let small = CaseSize(
    rows: 6,
    planned: 9,
    columns: 5,
    headDim: 4,
    sequences: [1, 3, 2]
  )
  private static let sizes = [
    small,
    CaseSize(rows: 1, planned: 1, columns: 2, headDim: 2, sequences: [1]),
    CaseSize(
      rows: 131,
      planned: 160,
      columns: 37,
      headDim: 6,
      sequences: [17, 1, 12, 33, 9, 16, 43]
    ),
    CaseSize(rows: 230, planned: 230, columns: 75, headDim: 16, sequences: [100, 12, 67, 51]),
  ]

  /// A case ready to run: its loss, and where the gradients go.
  private struct Differentiated {
    var make: CaseBuilder
    let forward: GraphUnderTest
    let loss: Value
    /// By constant index.
    let parameters: [Int: Tensor]
    let gradients: [Value]
  }

  private func differentiate(_ item: GradientCase, _ size: CaseSize) throws -> Differentiated {
    var make = CaseBuilder(generator: SeededGenerator(seed: 99), size: size)
    let loss = try make.loss(try item.build(&make))
    let forward = make.test
    var parameters: [Int: Tensor] = [:]
    for (index, constant) in make.test.graph.constants.enumerated()
    where !make.frozen.contains(index) {
      // Not zero, so that a run that forgets to add is seen.
      let values = make.generator.floats(constant.shape.elementCount)
      parameters[index] = try Tensor(name: "gradient", shape: constant.shape, values: values)
    }
    let gradients = try make.test.graph.differentiate(
      loss,
      parameters: parameters,
      inputs: make.inputs
    )
    make.test.graph.output(loss)
    for gradient in gradients { make.test.graph.output(gradient) }
    return Differentiated(
      make: make,
      forward: forward,
      loss: loss,
      parameters: parameters,
      gradients: gradients
    )
  }

  @Test(
    "The reverse pass equals finite differences in double precision",
    arguments: GradientCase.all
  )
  func finiteDifferences(item: GradientCase) throws {
    let size = Self.small
    let prepared = try differentiate(item, size)
    var reverse = Interpreter(prepared.make.test, liveRows: size.rows)
    for index in reverse.destinations.indices {
      reverse.destinations[index] = reverse.destinations[index].map { _ in 0 }
    }
    reverse.run()
    var forward = Interpreter(prepared.forward, liveRows: size.rows)
    func loss() -> Double {
      forward.run()
      return forward.values[prepared.loss.index][0, 0]
    }
    let step = 1e-6
    var checked = 0
    func compare(_ analytic: Double, _ path: WritableKeyPath<Interpreter, Double>) {
      let value = forward[keyPath: path]
      forward[keyPath: path] = value + step
      let above = loss()
      forward[keyPath: path] = value - step
      let below = loss()
      forward[keyPath: path] = value
      let numeric = (above - below) / (2 * step)
      #expect(abs(analytic - numeric) <= 1e-5 + 1e-3 * abs(numeric), "\(item.name) \(path)")
      checked += 1
    }
    for (position, input) in prepared.make.inputs.enumerated() {
      guard case .input(let index) = prepared.make.test.graph[input].operation else { continue }
      let analytic = reverse.values[prepared.gradients[position].index].values
      for element in analytic.indices {
        compare(analytic[element], \.floats[index][element])
      }
    }
    for index in prepared.parameters.keys {
      let analytic = parameterGradient(index, prepared, reverse.destinations)
      for element in analytic.indices { compare(analytic[element], \.constants[index][element]) }
    }
    #expect(checked > 0)
  }

  /// The sum of what the nodes added for one parameter, zero before.
  private func parameterGradient(
    _ index: Int,
    _ prepared: Differentiated,
    _ destinations: [[Double]]
  ) -> [Double] {
    let graph = prepared.make.test.graph
    let count = graph.constants[index].shape.elementCount
    var sum = [Double](repeating: 0, count: count)
    for (position, tensor) in graph.destinations.enumerated()
    where tensor.storage === prepared.parameters[index]?.storage {
      sum = zip(sum, destinations[position]).map(+)
    }
    return sum
  }

  @Test(
    "The executor computes what the interpreter does, with the same bits on 1 and 2 threads",
    arguments: GradientCase.all,
    [0, 1, 2, 3]
  )
  func executor(item: GradientCase, sizeIndex: Int) throws {
    let size = Self.sizes[sizeIndex]
    let prepared = try differentiate(item, size)
    let before = prepared.parameters.mapValues { contents($0) }
    var interpreter = Interpreter(prepared.make.test, liveRows: size.rows)
    for index in interpreter.destinations.indices {
      interpreter.destinations[index] = interpreter.destinations[index].map { _ in 0 }
    }
    interpreter.run()
    var runs: [[[UInt32]]] = []
    for threadCount in [1, 2] {
      for (index, values) in before {
        guard let tensor = prepared.parameters[index] else { continue }
        _ = tensor.storage.elements(of: Float.self).update(fromContentsOf: values)
      }
      let outputs = try run(prepared.make.test, rows: size.rows, threadCount: threadCount)
      let sums = prepared.parameters.keys.sorted().map { key in
        prepared.parameters[key].map { contents($0) } ?? []
      }
      runs.append((outputs + sums).map { $0.map(\.bitPattern) })
      let tolerance = 3e-5 * Double(size.rows).squareRoot()
      #expect(
        difference(outputs[0], interpreter.values[prepared.loss.index].values) < tolerance
      )
      for (position, gradient) in prepared.gradients.enumerated() {
        let expected = interpreter.values[gradient.index].values
        #expect(difference(outputs[position + 1], expected) < tolerance)
      }
      for (position, key) in prepared.parameters.keys.sorted().enumerated() {
        let added = parameterGradient(key, prepared, interpreter.destinations)
        let expected = zip(added, before[key] ?? []).map { $0 + Double($1) }
        #expect(difference(sums[position], expected) < tolerance)
      }
    }
    #expect(runs[0] == runs[1])
  }

  private func contents(_ tensor: Tensor) -> [Float] {
    Array(tensor.storage.elements(of: Float.self)[..<tensor.shape.elementCount])
  }

  private func run(_ test: GraphUnderTest, rows: Int, threadCount: Int) throws -> [[Float]] {
    let threads = ThreadPool(threadCount: threadCount)
    let executor = Executor(threads: threads, arenaBytesMax: 1 << 30)
    try executor.load(try Program(test.graph, threadCount: threadCount))
    for (index, values) in test.floats {
      try values.withUnsafeBufferPointer { try executor.setInput(index, $0) }
    }
    for (index, values) in test.integers {
      try values.withUnsafeBufferPointer { try executor.setInput(index, $0) }
    }
    try executor.run(liveRows: rows, selectedRows: test.selectedRows)
    return test.graph.outputs.indices.map { Array(executor.output($0)) }
  }
}
