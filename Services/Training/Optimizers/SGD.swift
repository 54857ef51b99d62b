internal import CKernels
package import Tensors

/// Settings of `SGD`; the defaults are PyTorch's.
package struct SGDOptions: Sendable, Equatable {
  /// How much of the direction is kept from step to step.
  package var momentum: Double
  /// How much less of a gradient enters the momentum.
  package var dampening: Double
  /// Whether the gradient is looked at from where the momentum leads (Nesterov).
  package var isNesterov: Bool
  /// The decay (L2) of parameters that are decayed.
  package var weightDecay: Double

  /// Makes settings.
  package init(
    momentum: Double = 0,
    dampening: Double = 0,
    isNesterov: Bool = false,
    weightDecay: Double = 0
  ) {
    self.momentum = momentum
    self.dampening = dampening
    self.isNesterov = isNesterov
    self.weightDecay = weightDecay
  }
}

/// Stochastic gradient descent with momentum, with the arithmetic of `torch.optim.SGD`.
///
/// The state takes 4 bytes per element, none without momentum.
package final class SGD: Optimizer {
  private let options: SGDOptions
  private let pass: Pass
  private var steps = 0

  /// Makes an optimizer over `groups`; their memory must outlive it.
  /// - Throws: `invalidArgument`, `memoryLimit`.
  package init(
    _ groups: [ParameterGroup],
    options: SGDOptions = SGDOptions(),
    threads: ThreadPool
  ) throws(OptimizerError) {
    try options.momentum.require("momentum", in: 0...Double.greatestFiniteMagnitude)
    try options.weightDecay.require("weightDecay", in: 0...Double.greatestFiniteMagnitude)
    try options.dampening.require("dampening", in: -1e300...1e300)
    guard !options.isNesterov || (options.momentum > 0 && options.dampening == 0) else {
      throw OptimizerError(
        .invalidArgument,
        "optimizer: Nesterov needs momentum and no dampening, these are \(options.momentum) and "
          + "\(options.dampening)"
      )
    }
    self.options = options
    pass = try Pass(ParameterChunks(groups, threads: threads), hasBuffer: options.momentum > 0)
  }

  package func step(
    learningRate: Double,
    normMax: Double?
  ) throws(OptimizerError) -> Double {
    try learningRate.require("learningRate", in: 0...Double.greatestFiniteMagnitude)
    let (norm, coefficient) = try pass.chunks.clip(normMax: normMax)
    for (index, group) in pass.chunks.groups.enumerated() {
      let rate = learningRate * group.learningRateFactor
      let decay = group.weightDecay ?? options.weightDecay
      pass.settings[2 * index] = settings(rate, decay: 0, coefficient)
      pass.settings[2 * index + 1] = settings(rate, decay: decay, coefficient)
    }
    steps += 1
    pass.run()
    return norm
  }

  private func settings(_ rate: Double, decay: Double, _ coefficient: Double) -> ck_sgd_step {
    ck_sgd_step(
      gradient_scale: Float(coefficient),
      coupled_decay: Float(decay),
      // The first gradient is the first buffer, undampened.
      momentum: steps == 0 ? 0 : Float(options.momentum),
      gain: steps == 0 ? 1 : Float(1 - options.dampening),
      nesterov: options.isNesterov ? Float(options.momentum) : -1,
      rate: Float(rate)
    )
  }

  package var counters: (algorithm: String, counters: [String: Int], scalars: [String: Double]) {
    ("sgd", ["step": steps], [:])
  }

  package func withStateArrays(
    _ body: (_ name: String, _ values: UnsafeBufferPointer<Float>) throws -> Void
  ) rethrows {
    guard let buffer = pass.buffer else { return }
    try pass.chunks.withArrays("momentum_buffer", buffer, body)
  }

  package func restore(_ state: OptimizerState) throws(OptimizerError) {
    try state.require(algorithm: "sgd")
    let steps = try state.counter("step")
    if let buffer = pass.buffer {
      pass.chunks.load(try pass.chunks.saved("momentum_buffer", in: state), into: buffer)
    }
    self.steps = steps
  }

  package func zeroGradients() { pass.chunks.zeroGradients() }
}

/// What the threads share during a step.
///
/// `@unchecked Sendable`: `settings` is written between runs of the pool only; during one, each
/// chunk is worked on by one thread.
private final class Pass: @unchecked Sendable {
  let chunks: ParameterChunks
  let buffer: Storage?
  /// Two for each group: of parameters that are not decayed, and of those that are.
  var settings: [ck_sgd_step]
  private var body: @Sendable (Int, Int) -> Void = { _, _ in }

  init(_ chunks: ParameterChunks, hasBuffer: Bool) throws(OptimizerError) {
    self.chunks = chunks
    buffer = hasBuffer ? try chunks.makeArray() : nil
    settings = Array(repeating: ck_sgd_step(), count: 2 * chunks.groups.count)
    body = { [unowned self] task, _ in self.step(task) }
  }

  func run() { chunks.threads.run(tasks: chunks.chunks.count, body) }

  private func step(_ task: Int) {
    let chunk = chunks.chunks[task]
    let buffer = buffer.map { $0.base.assumingMemoryBound(to: Float.self) + chunk.offset }
    let index = 2 * chunk.group + (chunk.isDecayed ? 1 : 0)
    withUnsafePointer(to: settings[index]) { settings in
      ck_sgd_f32(chunk.values, chunk.gradients, buffer, chunk.count, settings)
    }
  }
}
