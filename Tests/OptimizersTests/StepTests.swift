import Optimizers
import Tensors
import Testing

/// Parameters of odd sizes with pseudo-random values and gradients.
private final class Memory {
  static let sizes = [40_003, 7, 0, 32_768, 1, 300]
  private let memory: UnsafeMutableBufferPointer<Float>
  private(set) var parameters: [ParameterBuffer] = []

  init() {
    let total = Self.sizes.reduce(0, +)
    memory = .allocate(capacity: 2 * total)
    memory.initialize(repeating: 0)
    var offset = 0
    for (index, size) in Self.sizes.enumerated() {
      parameters.append(
        ParameterBuffer(
          name: "p\(index)",
          values: UnsafeMutableBufferPointer(rebasing: memory[offset..<offset + size]),
          gradients: UnsafeMutableBufferPointer(
            rebasing: memory[total + offset..<total + offset + size]
          ),
          isDecayed: index % 2 == 0
        )
      )
      offset += size
    }
    for index in 0..<total { memory[index] = Self.noise(index) }
  }

  deinit { memory.deallocate() }

  /// In -1..<1 and of varied magnitude.
  static func noise(_ index: Int) -> Float {
    var bits = UInt64(truncatingIfNeeded: index) &+ 0x9E37_79B9_7F4A_7C15
    bits = (bits ^ bits >> 30) &* 0xBF58_476D_1CE4_E5B9
    bits = (bits ^ bits >> 27) &* 0x94D0_49BB_1331_11EB
    return Float(Int32(truncatingIfNeeded: bits >> 31)) / Float(1 << 31)
  }

  var values: [[UInt32]] { parameters.map { $0.values.map(\.bitPattern) } }
  var gradients: [[UInt32]] { parameters.map { $0.gradients.map(\.bitPattern) } }

  /// Adds the gradient of a bowl, shaken by the step's number; returns a loss.
  func evaluate(_ step: Int) -> Double {
    var loss = 0.0
    for (number, parameter) in parameters.enumerated() {
      for index in parameter.values.indices {
        let x = parameter.values[index]
        parameter.gradients[index] += x * Float(1 + index % 7) + Memory.noise(index ^ step) / 8
        loss += Double(x * x) / Double(number + 1)
      }
    }
    return loss
  }
}

@Suite("Steps")
struct StepTests {
  private func optimizers(_ memory: Memory, _ count: Int) throws -> [any Optimizer] {
    let threads = ThreadPool(threadCount: count, isPinned: false)
    let groups = [
      ParameterGroup(Array(memory.parameters[..<2])),
      ParameterGroup(Array(memory.parameters[2...]), learningRateFactor: 0.5, weightDecay: 0.3),
    ]
    return [
      try Adam(groups, threads: threads),
      try Adam(groups, options: .adam(weightDecay: 0.1), threads: threads),
      try SGD(groups, options: SGDOptions(momentum: 0.9, isNesterov: true), threads: threads),
      try SGD(groups, options: SGDOptions(weightDecay: 0.1), threads: threads),
    ]
  }

  @Test("results are bit-equal for any number of threads", arguments: 0..<4)
  func threads(algorithm: Int) throws {
    var results: [([[UInt32]], [Double])] = []
    for count in [1, 2, 5] {
      let memory = Memory()
      let optimizer = try optimizers(memory, count)[algorithm]
      let norms = try (0..<3).map { step in
        _ = memory.evaluate(step)
        return try optimizer.step(learningRate: 0.01, normMax: 2)
      }
      #expect(norms[0] > 2, "nothing is clipped")
      results.append((memory.values, norms))
    }
    #expect(results.dropFirst().allSatisfy { $0.0 == results[0].0 && $0.1 == results[0].1 })
  }

  @Test("a step leaves zero gradients", arguments: 0..<4)
  func zeroes(algorithm: Int) throws {
    let memory = Memory()
    _ = memory.evaluate(0)
    try optimizers(memory, 2)[algorithm].step(learningRate: 0.01)
    #expect(memory.gradients.allSatisfy { $0.allSatisfy { $0 == 0 } })
  }

  /// 2,000 elements, of which only the first few have gradients, or, in the second step, the last;
  /// with `isDense` among others that always have, so that no block is without.
  private func sparse(isDense: Bool, isRestored: Bool) throws -> (values: [Float], means: [Float]) {
    let stride = isDense ? 2 : 1
    let count = 2_000 * stride
    let memory = UnsafeMutableBufferPointer<Float>.allocate(capacity: 2 * count)
    defer { memory.deallocate() }
    memory.initialize(repeating: 1)
    let (values, gradients) = (memory[..<count], memory[count...])
    for index in 0..<2_000 { memory[index * stride] = Memory.noise(index) }
    let parameter = ParameterBuffer(
      name: "table",
      values: UnsafeMutableBufferPointer(rebasing: values),
      gradients: UnsafeMutableBufferPointer(rebasing: gradients),
      isDecayed: true
    )
    func optimizer() throws -> Adam {
      try Adam([ParameterGroup([parameter])], threads: ThreadPool(threadCount: 1))
    }
    var adam = try optimizer()
    for step in 0..<5 {
      if isRestored, step == 3 {
        let state = adam.state
        adam = try optimizer()
        try adam.restore(state)
      }
      for index in 0..<2_000 {
        let hasGradient = index < 300 ? step != 1 : index >= 1_900 && step == 1
        parameter.gradients[index * stride] = hasGradient ? Memory.noise(index + step) : 0
        if isDense { parameter.gradients[index * stride + 1] = 1 }
      }
      try adam.step(learningRate: 0.01 * Double(step + 1))
    }
    func every(_ array: some Collection<Float>) -> [Float] {
      array.enumerated().filter { $0.offset.isMultiple(of: stride) }.map(\.element)
    }
    let arrays = adam.state.arrays
    return (
      every(parameter.values),
      every(arrays["exp_avg.table"] ?? []) + every(arrays["exp_avg_sq.table"] ?? [])
    )
  }

  @Test("elements without gradients get the same bits whatever stands beside them")
  func sparseGradients() throws {
    let expected = try sparse(isDense: true, isRestored: false)
    for isRestored in [false, true] {
      let actual = try sparse(isDense: false, isRestored: isRestored)
      #expect(actual.values == expected.values)
      #expect(actual.means == expected.means)
    }
    #expect(expected.values[1_000] != Memory.noise(1_000), "nothing decayed")
  }

  @Test("a restored optimizer goes on bit for bit", arguments: 0..<4)
  func restored(algorithm: Int) throws {
    let whole = Memory()
    let parts = Memory()
    let unbroken = try optimizers(whole, 2)[algorithm]
    var optimizer = try optimizers(parts, 2)[algorithm]
    for step in 0..<4 {
      if step == 2 {
        let state = optimizer.state
        optimizer = try optimizers(parts, 1)[algorithm]
        try optimizer.restore(state)
        #expect(optimizer.state == state)
      }
      _ = whole.evaluate(step)
      _ = parts.evaluate(step)
      try unbroken.step(learningRate: 0.02)
      try optimizer.step(learningRate: 0.02)
    }
    #expect(whole.values == parts.values)
    #expect(unbroken.state == optimizer.state)
  }

  @Test(
    "a gradient that is not finite is reported and changes nothing",
    arguments: [Float.nan, .infinity, -.infinity],
    0..<4
  )
  func notFinite(value: Float, algorithm: Int) throws {
    let memory = Memory()
    let optimizer = try optimizers(memory, 2)[algorithm]
    _ = memory.evaluate(0)
    _ = try optimizer.step(learningRate: 0.02, normMax: 1)
    let values = memory.values
    let state = optimizer.state
    _ = memory.evaluate(1)
    memory.parameters[3].gradients[20_000] = value
    let gradients = memory.gradients
    let error = #expect(throws: OptimizerError.self) {
      try optimizer.step(learningRate: 0.02, normMax: 1)
    }
    #expect(error?.code == .notFinite && error?.message.contains("p3") == true)
    #expect(memory.values == values && optimizer.state == state && memory.gradients == gradients)
    optimizer.zeroGradients()
    #expect(memory.gradients.allSatisfy { $0.allSatisfy { $0 == 0 } })
    _ = memory.evaluate(2)
    _ = try optimizer.step(learningRate: 0.02, normMax: 1)
    #expect(memory.values != values)
  }

  @Test("the norm of gradients whose squares overflow f32 is right")
  func largeNorm() throws {
    let problem = Problem()
    let optimizer = try SGD(
      [ParameterGroup([problem.weight, problem.bias])],
      threads: ThreadPool(threadCount: 1)
    )
    problem.gradients.update(repeating: 3e30)
    let norm = try optimizer.step(learningRate: 1, normMax: 1)
    #expect(abs(norm - 3e30 * 6.0.squareRoot()) < 1e24)
    #expect(problem.values.allSatisfy { abs($0) < 2 })
  }

  @Test("a state of another optimizer or other parameters is refused and changes nothing")
  func foreignState() throws {
    let memory = Memory()
    let all = try optimizers(memory, 1)
    _ = memory.evaluate(0)
    try all[0].step(learningRate: 0.02)
    let state = all[0].state
    func refused(_ change: (inout OptimizerState) -> Void) throws {
      var changed = state
      change(&changed)
      let error = #expect(throws: OptimizerError.self) { try all[0].restore(changed) }
      #expect(error?.code == .invalidState)
      #expect(all[0].state == state)
    }
    try refused { $0.algorithm = "adam" }
    try refused { $0.counters = [:] }
    try refused { $0.counters["step"] = -1 }
    try refused { $0.arrays["exp_avg_sq.p5"] = nil }
    try refused { $0.arrays["exp_avg_sq.p5"]?.removeLast() }
    #expect(throws: OptimizerError.self) { try all[2].restore(state) }
  }

  @Test("options and parameters that make no sense are refused")
  func options() throws {
    let problem = Problem()
    let group = ParameterGroup([problem.weight, problem.bias])
    let threads = ThreadPool(threadCount: 1)
    func refused(_ body: () throws -> Void) {
      let error = #expect(throws: OptimizerError.self, performing: body)
      #expect(error?.code == .invalidArgument)
    }
    refused { _ = try Adam([group], options: .adamW(beta1: 1), threads: threads) }
    refused { _ = try Adam([group], options: .adamW(beta2: -0.1), threads: threads) }
    refused { _ = try Adam([group], options: .adamW(weightDecay: .nan), threads: threads) }
    refused { _ = try Adam([group, group], threads: threads) }
    refused {
      let options = SGDOptions(momentum: 0.9, dampening: 0.1, isNesterov: true)
      _ = try SGD([group], options: options, threads: threads)
    }
    refused { try SGD([group], threads: threads).step(learningRate: -1) }
    refused { _ = try SGD([group], threads: threads).step(learningRate: 1, normMax: 0) }
    refused {
      _ = try LBFGS([problem.weight], options: LBFGSOptions(historySize: 0), threads: threads)
    }
    refused { _ = try LearningRateSchedule(peak: 1, decay: .linear, totalSteps: 0) }
    refused {
      _ = try LearningRateSchedule(
        peak: 1,
        decay: .linear,
        warmUp: .before(steps: 11),
        totalSteps: 10
      )
    }
    refused { _ = try LearningRateSchedule(peak: 1, decay: .cosine(floor: 1.5), totalSteps: 3) }
  }
}

@Suite("L-BFGS")
struct LBFGSTests {
  private func make(_ memory: Memory, threads: Int) throws -> LBFGS {
    try LBFGS(
      memory.parameters,
      options: LBFGSOptions(iterationsMax: 3, historySize: 2, lineSearch: .strongWolfe),
      threads: ThreadPool(threadCount: threads, isPinned: false)
    )
  }

  @Test("it goes on bit for bit after a restore, with any number of threads")
  func restored() throws {
    let whole = Memory()
    let parts = Memory()
    let unbroken = try make(whole, threads: 1)
    var optimizer = try make(parts, threads: 2)
    for step in 0..<3 {
      if step == 2 {
        let state = optimizer.state
        optimizer = try make(parts, threads: 3)
        try optimizer.restore(state)
        #expect(optimizer.state == state)
      }
      let a = try unbroken.step(learningRate: 1) { whole.evaluate(0) }
      let b = try optimizer.step(learningRate: 1) { parts.evaluate(0) }
      #expect(a == b)
    }
    #expect(whole.values == parts.values)
    #expect(unbroken.state == optimizer.state)
  }

  @Test("a loss that is not finite where a step starts or ends undoes the step")
  func notFinite() throws {
    let problem = Problem()
    let optimizer = try LBFGS(
      [problem.weight, problem.bias],
      options: LBFGSOptions(iterationsMax: 4),
      threads: ThreadPool(threadCount: 1)
    )
    _ = try optimizer.step(learningRate: 0.5) { problem.evaluate() }
    let values = problem.values
    var calls = 0
    let error = #expect(throws: OptimizerError.self) {
      try optimizer.step(learningRate: 0.5) {
        calls += 1
        return calls < 3 ? problem.evaluate() : .nan
      }
    }
    #expect(error?.code == .notFinite && calls == 3)
    #expect(problem.values == values)
    let report = try optimizer.step(learningRate: 0.5) { problem.evaluate() }
    #expect(report.loss < 1 && problem.values != values)
  }

  @Test("a search turns back from where there is no loss")
  func turnsBack() throws {
    let problem = Problem()
    let optimizer = try LBFGS(
      [problem.weight, problem.bias],
      options: LBFGSOptions(iterationsMax: 5, lineSearch: .strongWolfe),
      threads: ThreadPool(threadCount: 1)
    )
    // Finite within a small ball only.
    let report = try optimizer.step(learningRate: 50) {
      let loss = problem.evaluate()
      return problem.values.allSatisfy { abs($0) < 1.5 } ? loss : .nan
    }
    #expect(problem.values.allSatisfy { abs($0) < 1.5 })
    #expect(problem.evaluate() < report.loss)
  }

  @Test("an error of the closure undoes the step")
  func closureThrows() throws {
    struct Stop: Error {}
    let problem = Problem()
    let optimizer = try LBFGS(
      [problem.weight, problem.bias],
      threads: ThreadPool(threadCount: 1)
    )
    var calls = 0
    #expect(throws: Stop.self) {
      try optimizer.step(learningRate: 1) {
        calls += 1
        if calls == 4 { throw Stop() }
        return problem.evaluate()
      }
    }
    #expect(problem.values == Problem.start)
  }
}
