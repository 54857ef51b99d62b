internal import CKernels
internal import Glibc
package import Tensors

/// Settings of `Adam`.
package struct AdamOptions: Sendable, Equatable {
  /// How the decay of weights enters.
  package enum Decay: Sendable {
    /// Added to the gradient (Adam with L2).
    case coupled
    /// Taken off the parameter (AdamW).
    case decoupled
  }

  /// The decay of the mean of gradients, in 0..<1.
  package var beta1: Double
  /// The decay of the mean of squared gradients, in 0..<1.
  package var beta2: Double
  /// Added to the root of the mean square.
  package var epsilon: Double
  /// The decay of parameters that are decayed.
  package var weightDecay: Double
  /// How it enters.
  package var decay: Decay

  /// Adam with PyTorch's defaults.
  package static func adam(
    beta1: Double = 0.9,
    beta2: Double = 0.999,
    epsilon: Double = 1e-8,
    weightDecay: Double = 0
  ) -> AdamOptions {
    AdamOptions(
      beta1: beta1,
      beta2: beta2,
      epsilon: epsilon,
      weightDecay: weightDecay,
      decay: .coupled
    )
  }

  /// AdamW with PyTorch's defaults.
  package static func adamW(
    beta1: Double = 0.9,
    beta2: Double = 0.999,
    epsilon: Double = 1e-8,
    weightDecay: Double = 0.01
  ) -> AdamOptions {
    AdamOptions(
      beta1: beta1,
      beta2: beta2,
      epsilon: epsilon,
      weightDecay: weightDecay,
      decay: .decoupled
    )
  }
}

/// Adam (Kingma and Ba, 2015) and AdamW (Loshchilov and Hutter, 2019), with PyTorch's arithmetic.
///
/// A step reads the gradients once for their norm, then makes one pass over parameter, gradient
/// and both means that also clips and zeroes the gradient. It allocates nothing. The state takes 8
/// bytes per element.
///
/// Blocks of elements that have no gradient (rows of an embedding that no token named) cost less,
/// and those that never had one only their decay: the results are the same bits.
package final class Adam: Optimizer {
  private let options: AdamOptions
  private let pass: Pass
  private var steps = 0

  /// Makes an optimizer over `groups`; their memory must outlive it.
  /// - Throws: `invalidArgument`, `memoryLimit`.
  package init(
    _ groups: [ParameterGroup],
    options: AdamOptions = .adamW(),
    threads: ThreadPool
  ) throws(OptimizerError) {
    try options.beta1.require("beta1", in: 0..<1)
    try options.beta2.require("beta2", in: 0..<1)
    try options.epsilon.require("epsilon", in: 0...Double.greatestFiniteMagnitude)
    try options.weightDecay.require("weightDecay", in: 0...Double.greatestFiniteMagnitude)
    self.options = options
    pass = try Pass(ParameterChunks(groups, threads: threads))
  }

  /// The bytes of state for `elementCount` parameters, for estimates of memory.
  package static func stateBytes(elementCount: Int) -> Int { 8 * elementCount }

  package func step(
    learningRate: Double,
    normMax: Double?
  ) throws(OptimizerError) -> Double {
    try learningRate.require("learningRate", in: 0...Double.greatestFiniteMagnitude)
    let (norm, coefficient) = try pass.chunks.clip(normMax: normMax)
    steps += 1
    for (index, group) in pass.chunks.groups.enumerated() {
      let rate = learningRate * group.learningRateFactor
      let decay = group.weightDecay ?? options.weightDecay
      pass.settings[2 * index] = settings(rate, decay: 0, coefficient)
      pass.settings[2 * index + 1] = settings(rate, decay: decay, coefficient)
    }
    pass.run()
    return norm
  }

  private func settings(_ rate: Double, decay: Double, _ coefficient: Double) -> ck_adam_step {
    let isDecoupled = options.decay == .decoupled
    let correction1 = 1 - pow(options.beta1, Double(steps))
    let correction2 = 1 - pow(options.beta2, Double(steps))
    return ck_adam_step(
      gradient_scale: Float(coefficient),
      coupled_decay: isDecoupled ? 0 : Float(decay),
      retained: isDecoupled ? Float(1 - rate * decay) : 1,
      mean_gain: Float(1 - options.beta1),
      square_retained: Float(options.beta2),
      square_gain: Float(1 - options.beta2),
      step_size: Float(rate / correction1),
      root_scale: Float(1 / correction2.squareRoot()),
      epsilon: Float(options.epsilon)
    )
  }

  private var algorithm: String { options.decay == .decoupled ? "adamw" : "adam" }

  package var counters: (algorithm: String, counters: [String: Int], scalars: [String: Double]) {
    (algorithm, ["step": steps], [:])
  }

  package func withStateArrays(
    _ body: (_ name: String, _ values: UnsafeBufferPointer<Float>) throws -> Void
  ) rethrows {
    try pass.chunks.withArrays("exp_avg", pass.mean, body)
    try pass.chunks.withArrays("exp_avg_sq", pass.square, body)
  }

  package func restore(_ state: OptimizerState) throws(OptimizerError) {
    try state.require(algorithm: algorithm)
    let steps = try state.counter("step")
    let mean = try pass.chunks.saved("exp_avg", in: state)
    let square = try pass.chunks.saved("exp_avg_sq", in: state)
    self.steps = steps
    pass.chunks.load(mean, into: pass.mean)
    pass.chunks.load(square, into: pass.square)
    pass.findState()
  }

  package func zeroGradients() { pass.chunks.zeroGradients() }
}

/// What the threads share during a step.
///
/// `@unchecked Sendable`: `settings` is written between runs of the pool only; during one, each
/// chunk, with its part of `hasState`, is worked on by one thread.
private final class Pass: @unchecked Sendable {
  let chunks: ParameterChunks
  let mean: Storage
  let square: Storage
  /// Two for each group: of parameters that are not decayed, and of those that are.
  var settings: [ck_adam_step]
  /// For each block of all chunks, whether its means may be other than 0.
  private let hasState: UnsafeMutableBufferPointer<Bool>
  private var body: @Sendable (Int, Int) -> Void = { _, _ in }

  init(_ chunks: ParameterChunks) throws(OptimizerError) {
    self.chunks = chunks
    mean = try chunks.makeArray()
    square = try chunks.makeArray()
    settings = Array(repeating: ck_adam_step(), count: 2 * chunks.groups.count)
    hasState = .allocate(capacity: chunks.blockCount)
    hasState.initialize(repeating: false)
    body = { [unowned self] task, _ in self.step(task) }
  }

  deinit { hasState.deallocate() }

  func run() { chunks.threads.run(tasks: chunks.chunks.count, body) }

  /// Notes which blocks have a state, after it was restored.
  func findState() {
    for chunk in chunks.chunks {
      for block in 0..<chunk.blocks {
        let (start, count) = chunk.elements(of: block..<block + 1)
        let offset = chunk.offset + start
        hasState[chunk.firstBlock + block] =
          ck_max_magnitude_f32(elements(mean) + offset, count) != 0
          || ck_max_magnitude_f32(elements(square) + offset, count) != 0
      }
    }
  }

  private func elements(_ storage: Storage) -> UnsafeMutablePointer<Float> {
    storage.base.assumingMemoryBound(to: Float.self)
  }

  /// What a step has to do with a block.
  private enum Work {
    case all
    /// The gradient is 0.
    case withoutGradient
    /// The gradient and the means are 0.
    case decay
  }

  private func work(_ block: Int) -> Work {
    if chunks.hasGradient[block] != 0 { return .all }
    return hasState[block] ? .withoutGradient : .decay
  }

  private func step(_ task: Int) {
    let chunk = chunks.chunks[task]
    var block = 0
    while block < chunk.blocks {
      let work = work(chunk.firstBlock + block)
      var end = block + 1
      while end < chunk.blocks, self.work(chunk.firstBlock + end) == work { end += 1 }
      step(chunk, block..<end, work)
      block = end
    }
  }

  private func step(_ chunk: ParameterChunks.Chunk, _ blocks: Range<Int>, _ work: Work) {
    let (start, count) = chunk.elements(of: blocks)
    let values = chunk.values + start
    withUnsafePointer(to: settings[2 * chunk.group + (chunk.isDecayed ? 1 : 0)]) { settings in
      // A coupled decay is a gradient.
      if work == .decay, settings.pointee.coupled_decay == 0 {
        let retained = settings.pointee.retained
        if retained != 1 { ck_scale_f32(values, values, retained, count) }
        return
      }
      let gradients = work == .all ? chunk.gradients + start : nil
      let offset = chunk.offset + start
      ck_adam_f32(
        values,
        gradients,
        elements(mean) + offset,
        elements(square) + offset,
        count,
        settings
      )
      for block in blocks { hasState[chunk.firstBlock + block] = true }
    }
  }
}
