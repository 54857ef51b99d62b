internal import Checkpoints
internal import Models
internal import Tensors
internal import Tokenizers

/// Where a run's model comes from: a folder, or nothing but its sizes.
struct Source {
  let tokenizerFiles: TokenizerFiles
  /// The longest sequence of the model, in tokens.
  let contextTokens: Int
  /// The number of parameters, but for a new head.
  let elementCount: Int
  /// The digest of what the weights begin with.
  let digest: String
  private let origin: Origin

  private enum Origin {
    case folder(String)
    case scratch(ConfigurationDocument)
  }

  /// Describes the model in `folder`; without one, that of the configuration, with a tokenizer
  /// trained on `rows`.
  init(
    _ folder: String?,
    _ task: TrainingTask,
    _ configuration: TrainingConfiguration,
    _ rows: TaskData.LanguageRows?
  ) throws(TrainerError) {
    if let folder {
      origin = .folder(folder)
      tokenizerFiles = try TokenizerFiles(copiedFrom: folder)
      contextTokens = try Self.contextTokens(folder, task)
      elementCount = try Self.elementCount(folder)
      digest = try Digest.ofFiles(
        ["config.json", "model.safetensors", "tokenizer.json"].map { "\(folder)/\($0)" }
      )
      return
    }
    guard let rows else {
      throw TrainerError(.invalidModel, "\(task.rawValue) needs a base model")
    }
    let scratch = configuration.scratch
    tokenizerFiles = try TokenizerFiles(trainedOn: rows.train, scratch)
    let vocabulary = try tokenizerFiles.tokenizer().vocabularySize
    origin = .scratch(
      .llama(
        ConfigurationDocument.Sizes(
          vocabulary: vocabulary,
          hidden: scratch.hidden,
          layers: scratch.layers,
          heads: scratch.heads,
          kvHeads: scratch.kvHeads,
          intermediate: scratch.intermediate,
          contextTokens: scratch.context
        ),
        endOfSequenceID: TokenizerFiles.endID,
        padID: TokenizerFiles.beginID
      )
    )
    contextTokens = scratch.context
    elementCount = scratch.elementCount(vocabulary: vocabulary)
    // The configuration and the data say everything about it.
    digest = "scratch"
  }

  /// Loads or makes the model, with a head for `labels`.
  func model(
    _ task: TrainingTask,
    labels: [String],
    _ threads: ThreadPool,
    seed: UInt64
  ) throws(ModelError) -> TrainableModel {
    // The run's memory limit is checked against the estimate.
    var limits = ModelLimits()
    limits.weightBytesMax = .max
    limits.arenaBytesMax = .max
    limits.batchTokensMax = .max
    switch origin {
    case .scratch(let configuration):
      return try TrainableModel(
        configuration: configuration,
        threads: threads,
        seed: seed,
        limits: limits
      )
    case .folder(let folder):
      let head: ModelHead =
        switch task {
        case .ner: .tokenClassification(labels: labels)
        case .classify: .sequenceClassification(labels: labels)
        case .chat: .asStored
        }
      return try TrainableModel(
        folder: folder,
        head: head,
        threads: threads,
        seed: seed,
        limits: limits
      )
    }
  }

  private static func contextTokens(
    _ folder: String,
    _ task: TrainingTask
  ) throws(TrainerError) -> Int {
    do throws(CheckpointError) {
      var document = try ConfigurationDocument(folder: folder)
      // A bare encoder has no task yet.
      switch task {
      case .ner: document.setHead(suffix: "ForTokenClassification", labels: ["a", "b"])
      case .classify: document.setHead(suffix: "ForSequenceClassification", labels: ["a", "b"])
      case .chat: break
      }
      let configuration = try document.configuration()
      guard task != .chat || configuration.task == .textGeneration else {
        throw CheckpointError(
          .unsupported,
          file: "config.json",
          "\(configuration.architecture) does not generate text: it cannot be trained to chat"
        )
      }
      return configuration.contextTokens
    } catch {
      throw TrainerError(.invalidModel, "base model: \(error.message)", cause: error)
    }
  }

  private static func elementCount(_ folder: String) throws(TrainerError) -> Int {
    do throws(CheckpointError) {
      let file = try SafetensorsFile(path: "\(folder)/model.safetensors")
      var count = 0
      for name in file.tensorNames { count += try file.tensor(named: name).elementCount }
      return count
    } catch {
      throw TrainerError(.invalidModel, "base model: \(error.message)", cause: error)
    }
  }
}

extension TrainingConfiguration.ScratchModel {
  /// The parameters of a Llama of these sizes with tied embeddings.
  func elementCount(vocabulary: Int) -> Int {
    let keys = hidden / heads * kvHeads
    let layer = 2 * hidden * hidden + 2 * hidden * keys + 3 * hidden * intermediate + 2 * hidden
    return vocabulary * hidden + layers * layer + hidden
  }
}
