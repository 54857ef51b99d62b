/// Where a run stands, parameters and the optimizer's arrays aside.
///
/// Random numbers are functions of the seed and of numbers that are here, so that no generator's
/// state is kept.
struct TrainingState: Sendable, Equatable, Codable {
  /// What the run is made of; a checkpoint of another run is refused.
  struct Identity: Sendable, Equatable, Codable {
    let configuration: String
    let data: String
    let model: String
  }

  /// An evaluation on a split.
  struct Evaluation: Sendable, Equatable, Codable {
    let step: Int
    let epoch: Double
    let split: Split
    let metrics: [String: Double]
  }

  /// The mean training loss of some steps that end with `step`.
  struct LossPoint: Sendable, Equatable, Codable {
    let step: Int
    let loss: Double
    let learningRate: Double
  }

  /// The best result on dev.
  struct Best: Sendable, Equatable, Codable {
    let step: Int
    let epoch: Double
    let value: Double
  }

  var identity: Identity
  /// Optimizer steps made.
  var step = 0
  /// The epoch that runs, from 0.
  var epoch = 0
  /// Steps made in it.
  var epochStep = 0
  /// Sum of the steps' losses since the last point of the curve.
  var lossSum = 0.0
  /// Steps in `lossSum`.
  var lossCount = 0
  /// Sum of the steps' losses in this epoch.
  var epochLossSum = 0.0
  /// The learning curve.
  var curve: [LossPoint] = []
  /// Evaluations on dev, thinned by `keep`.
  var evaluations: [Evaluation] = []
  var best: Best?
  /// The step of the best weights, where they are kept.
  var bestWeightsStep: Int?
  /// Evaluations since the best one.
  var evaluationsWithoutGain = 0
  /// Whether training ended early.
  var isStopped = false
  /// The optimizer's algorithm, whole numbers and others.
  var optimizerAlgorithm = ""
  var optimizerCounters: [String: Int] = [:]
  var optimizerScalars: [String: UInt64] = [:]

  /// Adds an evaluation on dev; of each `slotSteps` steps only the last stays, and the best so far.
  ///
  /// So there are at most two for each slot, however often the run evaluates. `isBest` says that the
  /// evaluation is better than `best`, which is still the one before.
  mutating func keep(_ evaluation: Evaluation, isBest: Bool, slotSteps: Int) {
    while let last = evaluations.last,
      (last.step - 1) / slotSteps == (evaluation.step - 1) / slotSteps,
      isBest || last.step != best?.step
    {
      evaluations.removeLast()
    }
    evaluations.append(evaluation)
  }
}
