internal import Optimizers
internal import Tensors

/// The optimizer of a run, with one interface for those that make a step from one gradient and for
/// L-BFGS, which evaluates several.
struct OptimizerDriver {
  /// Adds the gradients of one step's batches; returns the loss.
  typealias Closure = () throws(TrainerError) -> Double

  private enum Kind {
    case gradient(any Optimizer)
    case closure(LBFGS)
  }

  private let kind: Kind
  private let clipNorm: Double?

  /// Moves that L-BFGS remembers, and moves of one step.
  private static let lbfgsHistory = 10
  private static let lbfgsIterations = 20

  init(
    _ parameters: [ParameterBuffer],
    _ configuration: TrainingConfiguration,
    threads: ThreadPool
  ) throws(TrainerError) {
    clipNorm = configuration.clipNorm > 0 ? configuration.clipNorm : nil
    do throws(OptimizerError) {
      kind = try Self.make(parameters, configuration, threads)
    } catch {
      throw TrainerError(error)
    }
  }

  private static func make(
    _ parameters: [ParameterBuffer],
    _ configuration: TrainingConfiguration,
    _ threads: ThreadPool
  ) throws(OptimizerError) -> Kind {
    let groups = [ParameterGroup(parameters)]
    switch configuration.optimizer {
    case .adamw, .adam:
      var options = AdamOptions.adamW(
        beta1: configuration.beta1,
        beta2: configuration.beta2,
        epsilon: configuration.epsilon,
        weightDecay: configuration.weightDecay
      )
      options.decay = configuration.optimizer == .adamw ? .decoupled : .coupled
      return .gradient(try Adam(groups, options: options, threads: threads))
    case .sgd:
      let options = SGDOptions(
        momentum: configuration.momentum,
        isNesterov: configuration.nesterov,
        weightDecay: configuration.weightDecay
      )
      return .gradient(try SGD(groups, options: options, threads: threads))
    case .lbfgs:
      let options = LBFGSOptions(
        iterationsMax: lbfgsIterations,
        historySize: lbfgsHistory,
        lineSearch: .strongWolfe
      )
      return .closure(try LBFGS(parameters, options: options, threads: threads))
    }
  }

  /// The bytes that the optimizer remembers for `elements` parameters.
  static func stateBytes(_ configuration: TrainingConfiguration, elements: Int) -> Int {
    switch configuration.optimizer {
    case .adamw, .adam: 8 * elements
    case .sgd: configuration.momentum > 0 ? 4 * elements : 0
    case .lbfgs: (8 * lbfgsHistory + 24) * elements
    }
  }

  /// Makes one step; returns its loss and the norm of the gradient (of L-BFGS, 0).
  func step(
    learningRate: Double,
    closure: @escaping Closure
  ) throws(TrainerError) -> (loss: Double, gradientNorm: Double) {
    do {
      switch kind {
      case .gradient(let optimizer):
        let loss = try closure()
        guard loss.isFinite else {
          throw TrainerError(.diverged, "the loss is \(loss)")
        }
        return (loss, try optimizer.step(learningRate: learningRate, normMax: clipNorm))
      case .closure(let optimizer):
        return (try optimizer.step(learningRate: learningRate) { try closure() }.loss, 0)
      }
    } catch let error as TrainerError {
      throw error
    } catch let error as OptimizerError {
      throw TrainerError(error)
    } catch {
      throw TrainerError(.internal, "optimizer: \(error)", cause: error)
    }
  }

  private var optimizer: any StatefulOptimizer {
    switch kind {
    case .gradient(let optimizer): optimizer
    case .closure(let optimizer): optimizer
    }
  }

  /// What checkpoints call the arrays of the optimizer.
  private static let prefix = "optimizer/"

  /// Notes the optimizer's numbers in `state` and gives `body` its arrays.
  func save(
    to state: inout TrainingState,
    _ body: (String, UnsafeBufferPointer<Float>) -> Void
  ) {
    let (algorithm, counters, scalars) = optimizer.counters
    state.optimizerAlgorithm = algorithm
    state.optimizerCounters = counters
    state.optimizerScalars = scalars.mapValues(\.bitPattern)
    optimizer.withStateArrays { body(Self.prefix + $0, $1) }
  }

  /// Goes on from a checkpoint.
  func restore(
    _ state: TrainingState,
    _ content: CheckpointFile.Content
  ) throws(TrainerError) {
    var arrays: [String: [Float]] = [:]
    for name in content.arrays.keys where name.hasPrefix(Self.prefix) {
      arrays[String(name.dropFirst(Self.prefix.count))] = content.values(name)
    }
    do throws(OptimizerError) {
      try optimizer.restore(
        OptimizerState(
          algorithm: state.optimizerAlgorithm,
          counters: state.optimizerCounters,
          scalars: state.optimizerScalars.mapValues { Double(bitPattern: $0) },
          arrays: arrays
        )
      )
    } catch {
      throw TrainerError(error)
    }
  }
}

extension TrainerError {
  /// Wraps an error of an optimizer.
  init(_ error: OptimizerError) {
    let code: Code =
      switch error.code {
      case .notFinite: .diverged
      case .memoryLimit: .memoryLimit
      case .invalidArgument: .invalidConfiguration
      case .invalidState: .internal
      }
    self.init(code, error.message, cause: error)
  }
}
