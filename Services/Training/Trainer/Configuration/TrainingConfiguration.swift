/// Every setting of a training run but its data, base model and place.
///
/// Two runs with equal configurations, data, base models and thread counts end with the same bits.
/// `TrainingConfiguration.fields` documents each setting.
package struct TrainingConfiguration: Sendable, Equatable, Codable {
  /// How the learning rate goes from its peak to the end.
  package enum Schedule: String, Codable, Sendable, CaseIterable {
    /// Warm-up from 0, then a straight line to 0.
    case linear
    /// Half a cosine to `scheduleFloor` of the peak, under a warm-up over its first steps.
    case cosine
    /// Warm-up from 0, then the peak.
    case constant
  }

  /// The optimizers.
  package enum OptimizerKind: String, Codable, Sendable, CaseIterable {
    case adamw, adam, sgd, lbfgs
  }

  /// How sequences of similar length come into one batch.
  package enum Bucketing: String, Codable, Sendable, CaseIterable {
    /// Shuffle, sort by length within windows of 50 batches, shuffle the batches.
    case window
    /// Sort all by length plus a random part below 8 tokens, shuffle the batches.
    case noise
    /// Shuffle only.
    case none
  }

  /// The element type of the finished weights.
  package enum SaveDtype: String, Codable, Sendable, CaseIterable {
    case bf16, f32
  }

  /// Which tokens of a conversation the loss counts.
  package enum LossTokens: String, Codable, Sendable, CaseIterable {
    /// Those of the assistant's messages, with the token that ends them.
    case assistant
    /// All.
    case all
  }

  /// Passes over the training rows.
  package var epochs = 3
  /// Sequences of one batch.
  package var batchSize = 32
  /// Batches of one optimizer step.
  package var accumulation = 1
  /// The most tokens that go through the model at once; larger batches go in parts.
  package var microbatchTokens = 4_096
  /// The most tokens of a sequence; longer ones are cut and counted.
  package var tokensMax = 128
  /// The peak learning rate; nil takes the task's default.
  package var learningRate: Double?
  /// Multiplies the peak learning rate, given or not.
  package var learningRateMultiplier = 1.0
  /// How the rate goes on.
  package var schedule = Schedule.linear
  /// Below 1: the fraction of all steps that warms up; else the steps.
  package var warmup = 0.1
  /// The end of the cosine schedule, as a fraction of the peak.
  package var scheduleFloor = 0.0
  /// The optimizer.
  package var optimizer = OptimizerKind.adamw
  /// Adam's decay of the mean.
  package var beta1 = 0.9
  /// Adam's decay of the mean square.
  package var beta2 = 0.999
  /// Adam's epsilon.
  package var epsilon = 1e-8
  /// SGD's momentum.
  package var momentum = 0.9
  /// SGD's Nesterov variant.
  package var nesterov = false
  /// The decay of weights; biases and norms are not decayed.
  package var weightDecay = 0.01
  /// The most global norm of a gradient; 0 for no limit.
  package var clipNorm = 1.0
  /// The probability of dropout.
  package var dropout = 0.1
  /// The source of everything random.
  package var seed: UInt64 = 42
  /// How batches are made.
  package var bucketing = Bucketing.window
  /// Evaluations on the dev split in one epoch; 0 for none.
  package var evaluationsPerEpoch = 1
  /// The rows of the dev split that are evaluated; 0 for all.
  package var devRowsMax = 0
  /// Keep the weights that were best on the dev split; else the last.
  package var keepBest = true
  /// What is compared on the dev split.
  package var bestMetric = BestMetric.auto
  /// Evaluations without a better result after which training stops; 0 for never.
  package var patience = 0
  /// Steps between checkpoints; 0 for one at the end of each epoch only.
  package var checkpointSteps = 500
  /// The element type of the finished weights.
  package var saveDtype = SaveDtype.bf16
  /// chat: which tokens the loss counts.
  package var lossTokens = LossTokens.assistant
  /// chat: vary the user's messages.
  package var augment = false
  /// chat: the most single-turn rows that are joined to one conversation.
  package var turnsMax = 1
  /// chat from scratch: the size of the model.
  package var scratch = ScratchModel()

  /// The size of a model trained from scratch (Llama), and of its vocabulary.
  package struct ScratchModel: Sendable, Equatable, Codable {
    /// Width of the residual stream.
    package var hidden = 256
    /// Decoder layers.
    package var layers = 6
    /// Attention heads.
    package var heads = 8
    /// Heads of keys and values.
    package var kvHeads = 4
    /// Width of the feed-forward part.
    package var intermediate = 704
    /// The longest sequence, in tokens.
    package var context = 1_024
    /// Entries of the vocabulary, special tokens counted.
    package var vocabulary = 4_096

    /// The defaults.
    package init() {}
  }

  /// The defaults of `task`.
  package init(task: TrainingTask) {
    switch task {
    case .ner: break
    case .classify: epochs = 5
    case .chat:
      epochs = 7
      tokensMax = 1_024
      schedule = .cosine
      scheduleFloor = 0.05
      warmup = 100
      beta2 = 0.95
      weightDecay = 0.1
      dropout = 0
      bucketing = .noise
    }
  }

  /// The peak learning rate: the setting or the default of the task, times the multiplier.
  package func peakLearningRate(task: TrainingTask, isFromScratch: Bool) -> Double {
    (learningRate ?? (task == .chat && isFromScratch ? 2e-3 : 5e-5)) * learningRateMultiplier
  }

  /// The steps of warm-up in a run of `totalSteps`.
  package func warmupSteps(totalSteps: Int) -> Int {
    let steps = warmup < 1 ? warmup * Double(totalSteps) : warmup
    return min(Int(steps), totalSteps)
  }
}
