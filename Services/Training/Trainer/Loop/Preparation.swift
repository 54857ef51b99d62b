internal import Models
internal import Tensors

/// A run's data, model and numbers, ready for the first step.
struct Preparation {
  let data: TaskData
  let model: TrainableModel
  let identity: TrainingState.Identity
  let estimate: MemoryEstimate
  let tokenizerFiles: TokenizerFiles

  /// Reads the data, checks the memory and loads the model.
  init(
    task: TrainingTask,
    configuration: TrainingConfiguration,
    input: TrainingInput,
    threads: ThreadPool,
    memoryLimit: Int?,
    isCancelled: @escaping () -> Bool
  ) throws(TrainerError) {
    let rows =
      task == .chat
      ? try TaskData.LanguageRows(input, configuration, isCancelled: isCancelled) : nil
    let source = try Source(input.baseModel, task, configuration, rows)
    tokenizerFiles = source.tokenizerFiles
    let context = TaskContext(
      tokenizer: try tokenizerFiles.tokenizer(),
      configuration: configuration,
      tokensMax: min(configuration.tokensMax, source.contextTokens),
      isCancelled: isCancelled
    )
    data =
      if let rows {
        try TaskData.language(rows, context)
      } else if task == .ner {
        try TaskData.tokenClassification(input, context)
      } else {
        try TaskData.sequenceClassification(input, context)
      }
    identity = TrainingState.Identity(
      configuration: try Digest.of(configuration),
      data: data.digest,
      model: source.digest
    )
    var estimate = Self.parameterEstimate(source.elementCount, configuration, data)
    // Before the weights are read: what cannot fit must not be tried.
    try estimate.check(limit: memoryLimit)
    do throws(ModelError) {
      model = try source.model(task, labels: data.labels, threads, seed: configuration.seed)
      // With the head, which may be new.
      let elements = model.parameterBytes / (2 * MemoryLayout<Float>.stride)
      estimate = Self.parameterEstimate(elements, configuration, data)
      estimate.activations = try Self.activationBytes(model, data, configuration, context)
    } catch {
      throw TrainerError(error)
    }
    try estimate.check(limit: memoryLimit)
    self.estimate = estimate
  }

  private static func parameterEstimate(
    _ elements: Int,
    _ configuration: TrainingConfiguration,
    _ data: TaskData
  ) -> MemoryEstimate {
    MemoryEstimate(
      weights: 4 * elements,
      gradients: 4 * elements,
      optimizer: OptimizerDriver.stateBytes(configuration, elements: elements),
      activations: 0,
      data: data.byteCount
    )
  }

  /// The most bytes of a step's or an evaluation's intermediate values.
  private static func activationBytes(
    _ model: TrainableModel,
    _ data: TaskData,
    _ configuration: TrainingConfiguration,
    _ context: TaskContext
  ) throws(ModelError) -> Int {
    let trainRows: Int
    let longest: Int
    switch data.train {
    case .fixed(let examples):
      let size = configuration.batchSize * configuration.accumulation
      let lengths = examples.lengths
      longest = lengths.max() ?? 1
      trainRows = ExampleSet.partTokensMax(
        lengths: lengths,
        size: size,
        tokensMax: configuration.microbatchTokens
      )
    case .varied:
      // Each epoch makes other sequences.
      longest = context.tokensMax
      trainRows = max(configuration.microbatchTokens, context.tokensMax)
    }
    var bytes = try model.peakBytes(
      rows: trainRows,
      sequenceTokens: longest,
      dropout: Float(configuration.dropout)
    )
    for examples in [data.dev, data.test].compactMap({ $0 }) {
      let lengths = examples.lengths
      let rows = ExampleSet.partTokensMax(
        lengths: lengths,
        size: lengths.count,
        tokensMax: configuration.microbatchTokens
      )
      let evaluation = try model.peakBytes(
        rows: rows,
        sequenceTokens: lengths.max() ?? 1,
        dropout: nil
      )
      bytes = max(bytes, evaluation)
    }
    return bytes
  }
}
