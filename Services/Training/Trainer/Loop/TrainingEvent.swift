/// What a run needs in memory, in bytes, known before its first step.
package struct MemoryEstimate: Sendable, Equatable, Codable {
  /// The parameters, f32.
  package var weights: Int
  /// Their gradients, f32.
  package var gradients: Int
  /// What the optimizer remembers.
  package var optimizer: Int
  /// The values between operations of a step, the largest batch.
  package var activations: Int
  /// The encoded rows.
  package var data: Int

  /// All together.
  package var total: Int { weights + gradients + optimizer + activations + data }

  /// Makes an estimate.
  package init(weights: Int, gradients: Int, optimizer: Int, activations: Int, data: Int) {
    self.weights = weights
    self.gradients = gradients
    self.optimizer = optimizer
    self.activations = activations
    self.data = data
  }

  /// Throws `memoryLimit` with the numbers when it is above `limit`.
  func check(limit: Int?) throws(TrainerError) {
    guard let limit, total > limit else { return }
    func mebibytes(_ bytes: Int) -> String { "\((bytes + (1 << 20) - 1) >> 20) MiB" }
    throw TrainerError(
      .memoryLimit,
      "training needs \(mebibytes(total)), the limit is \(mebibytes(limit)): weights "
        + "\(mebibytes(weights)), gradients \(mebibytes(gradients)), optimizer "
        + "\(mebibytes(optimizer)), activations \(mebibytes(activations)), data "
        + "\(mebibytes(data)); a smaller microbatchTokens or tokensMax needs fewer activations"
    )
  }
}

/// What happens in a run, in order.
package enum TrainingEvent: Sendable, Equatable {
  /// The data is read and the model loaded; rows and tokens are those of the first epoch, steps
  /// those of the whole run.
  case prepared(rows: Int, tokens: Int, steps: Int, estimate: MemoryEstimate)
  /// Something about the data or the checkpoint that the user should know.
  case notice(String)
  /// The run goes on from a checkpoint.
  case resumed(step: Int, epoch: Double)
  /// An optimizer step is done; `loss` is the mean over its labelled tokens.
  case step(
    step: Int,
    epoch: Double,
    loss: Double,
    learningRate: Double,
    gradientNorm: Double,
    tokensPerSecond: Double
  )
  /// A split was evaluated after the number of steps; an epoch is a whole number when it ended.
  case evaluated(step: Int, epoch: Double, split: Split, metrics: [String: Double])
  /// A checkpoint is on disk.
  case checkpointed(step: Int)
  /// `patience` evaluations brought nothing better than that of `bestStep`.
  case stoppedEarly(step: Int, bestStep: Int)
}

/// What a run leaves behind.
package struct TrainingResult: Sendable, Equatable {
  /// A model folder in Hugging Face's layout.
  package var modelFolder: String
  /// The last evaluation: of the test split, else of dev; empty without both.
  package var metrics: [String: Double]
  /// The paths of reports by their file names.
  package var reports: [String: String]
  /// The step of the weights that were kept.
  package var step: Int
}
