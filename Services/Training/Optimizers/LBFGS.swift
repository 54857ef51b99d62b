package import Tensors

/// Settings of `LBFGS`; the defaults are PyTorch's.
package struct LBFGSOptions: Sendable, Equatable {
  /// How the length of a move is chosen.
  package enum LineSearch: Sendable {
    /// The learning rate, without a search.
    case fixed
    /// A length that meets the strong Wolfe conditions.
    case strongWolfe
  }

  /// The most moves of one step.
  package var iterationsMax: Int
  /// The most evaluations of one step; nil for 5/4 of `iterationsMax`.
  package var evaluationsMax: Int?
  /// A step ends when no element of the gradient is larger.
  package var gradientTolerance: Double
  /// A step ends when neither loss nor parameters change by more.
  package var changeTolerance: Double
  /// How many moves are remembered.
  package var historySize: Int
  /// How the length of a move is chosen.
  package var lineSearch: LineSearch

  /// Makes settings.
  package init(
    iterationsMax: Int = 20,
    evaluationsMax: Int? = nil,
    gradientTolerance: Double = 1e-7,
    changeTolerance: Double = 1e-9,
    historySize: Int = 100,
    lineSearch: LineSearch = .fixed
  ) {
    self.iterationsMax = iterationsMax
    self.evaluationsMax = evaluationsMax
    self.gradientTolerance = gradientTolerance
    self.changeTolerance = changeTolerance
    self.historySize = historySize
    self.lineSearch = lineSearch
  }
}

/// L-BFGS, the algorithm of `torch.optim.LBFGS` (after minFunc): limited-memory curvature, an
/// optional strong-Wolfe search, a closure that evaluates loss and gradient.
///
/// One group of parameters, without weight decay. A state takes 8 bytes per element for each
/// remembered move and 8 besides; a step takes up to 32 more. Scalars are in double precision.
package final class LBFGS: StatefulOptimizer {
  /// Computes the loss of the parameters as they are and adds to the gradients, which are zero
  /// before; returns the loss.
  package typealias Closure = () throws -> Double

  /// The most moves that may be remembered.
  package static let historySizeMax = 1_000

  /// What a step did.
  package struct Report: Sendable, Equatable {
    /// The loss before the step.
    package let loss: Double
    /// Moves of this step.
    package let iterations: Int
    /// Evaluations of this step.
    package let evaluations: Int
  }

  let options: LBFGSOptions
  let vectors: FlatVectors
  var memory: LBFGSMemory

  /// Makes an optimizer over `parameters`; their memory must outlive it.
  /// - Throws: `invalidArgument`, `memoryLimit`.
  package init(
    _ parameters: [ParameterBuffer],
    options: LBFGSOptions = LBFGSOptions(),
    threads: ThreadPool
  ) throws(OptimizerError) {
    try options.gradientTolerance.require(
      "gradientTolerance",
      in: 0...Double.greatestFiniteMagnitude
    )
    try options.changeTolerance.require("changeTolerance", in: 0...Double.greatestFiniteMagnitude)
    guard options.iterationsMax > 0, options.evaluationsMax ?? 1 > 0,
      1...Self.historySizeMax ~= options.historySize
    else {
      throw OptimizerError(
        .invalidArgument,
        """
        optimizer: L-BFGS with \(options.iterationsMax) iterations, \
        \(options.evaluationsMax.map(String.init) ?? "default") evaluations, history \
        \(options.historySize) (at most \(Self.historySizeMax))
        """
      )
    }
    self.options = options
    vectors = FlatVectors(
      chunks: try ParameterChunks([ParameterGroup(parameters)], threads: threads)
    )
    memory = try LBFGSMemory(vectors)
  }

  /// Makes one step of up to `iterationsMax` moves.
  /// - Throws: what `closure` throws, and `notFinite` when loss or gradient are not, at the start or
  ///   where a move ended; parameters are then where the step began, the memory of moves is empty
  ///   and the gradients are to be zeroed.
  package func step(
    learningRate: Double,
    closure: @escaping Closure
  ) throws -> Report {
    try learningRate.require("learningRate", in: 0...Double.greatestFiniteMagnitude)
    let start = try vectors.make()
    vectors.gatherParameters(to: start)
    do {
      return try iterate(learningRate, closure)
    } catch {
      vectors.setParameters(to: start)
      memory.forget()
      throw error
    }
  }

  private func iterate(_ learningRate: Double, _ closure: @escaping Closure) throws -> Report {
    let evaluationsMax = options.evaluationsMax ?? options.iterationsMax * 5 / 4
    let gradient = try vectors.make()
    let firstLoss = try evaluate(closure, gradient)
    var loss = firstLoss
    var evaluations = 1
    var largest = try requireFinite(loss, gradient)
    var iterations = 0
    while largest > options.gradientTolerance || iterations > 0, iterations < options.iterationsMax
    {
      iterations += 1
      memory.iterations += 1
      try memory.updateDirection(gradient, historySize: options.historySize, vectors)
      vectors.copy(gradient, to: memory.previousGradient)
      let previousLoss = loss
      memory.length =
        memory.iterations == 1
        ? min(1, 1 / vectors.sumOfMagnitudes(gradient)) * learningRate : learningRate
      let slope = vectors.dot(gradient, memory.direction)
      if slope > -options.changeTolerance { break }
      switch options.lineSearch {
      case .strongWolfe:
        var search = try StrongWolfeSearch(self, closure)
        let point = try search.run(
          from: StrongWolfeSearch.Point(
            length: memory.length,
            loss: loss,
            gradient: gradient,
            slope: slope
          ),
          evaluationsMax: evaluationsMax - evaluations
        )
        loss = point.loss
        memory.length = point.length
        vectors.copy(point.gradient, to: gradient)
        evaluations += search.evaluations
        vectors.moveParameters(along: memory.direction, by: memory.length)
        largest = try requireFinite(loss, gradient)
      case .fixed:
        vectors.moveParameters(along: memory.direction, by: memory.length)
        // After the last move nothing is evaluated: with the next step comes another batch.
        if iterations < options.iterationsMax {
          loss = try evaluate(closure, gradient)
          evaluations += 1
          largest = try requireFinite(loss, gradient)
        }
      }
      if iterations == options.iterationsMax || evaluations >= evaluationsMax
        || largest <= options.gradientTolerance
        || vectors.maxMagnitude(memory.direction) * abs(memory.length) <= options.changeTolerance
        || abs(loss - previousLoss) < options.changeTolerance
      {
        break
      }
    }
    return Report(loss: firstLoss, iterations: iterations, evaluations: evaluations)
  }

  /// Loss and gradient of the parameters as they are.
  func evaluate(
    _ closure: Closure,
    _ gradient: FlatVectors.Vector
  ) throws -> Double {
    zeroGradients()
    let loss = try closure()
    vectors.gatherGradients(to: gradient)
    return loss
  }

  /// The largest magnitude in a gradient that, like its loss, must be finite.
  private func requireFinite(
    _ loss: Double,
    _ gradient: FlatVectors.Vector
  ) throws(OptimizerError) -> Double {
    let largest = vectors.maxMagnitude(gradient)
    guard loss.isFinite, largest.isFinite else {
      throw OptimizerError(
        .notFinite,
        "step: the loss is \(loss), the largest element of the gradient \(largest)"
      )
    }
    return largest
  }

  package func zeroGradients() { vectors.chunks.zeroGradients() }
}
