internal import Models
internal import Tokenizers

/// The data of a run, encoded.
struct TaskData: Sendable {
  /// The training rows.
  var train: TrainingRows
  /// The rows that choose the best weights; nil without a dev split.
  var dev: ExampleSet?
  /// The rows of the final report; nil without a test split.
  var test: ExampleSet?
  /// The labels in the order of their ids; empty for a language model.
  var labels: [String] = []
  /// Names that only dev or test have: labels after those of `labels`, which the model cannot give.
  var unseenLabels: [String] = []
  /// Whether the labels are IOB2 tags of entities.
  var isEntities = false
  /// What was noticed.
  var summary = DataSummary()
  /// The hash of all rows.
  var digest = ""

  /// The memory that it takes.
  var byteCount: Int {
    train.byteCount + (dev?.byteCount ?? 0) + (test?.byteCount ?? 0)
  }

  /// A batch without the labels that the model does not have.
  func known(_ batch: PackedBatch) -> PackedBatch {
    guard !unseenLabels.isEmpty else { return batch }
    var batch = batch
    batch.labels = batch.labels.map { $0 < labels.count ? $0 : ExampleSet.ignored }
    return batch
  }
}

/// The training rows: the same in each epoch, or made anew from conversations.
enum TrainingRows: Sendable {
  case fixed(ExampleSet)
  case varied(Conversations)

  /// The sequences of `epoch`, which counts from 0: a function of the seed and the epoch.
  func examples(epoch: Int) throws(TrainerError) -> ExampleSet {
    switch self {
    case .fixed(let examples): examples
    case .varied(let conversations): try conversations.examples(epoch: epoch).examples
    }
  }

  /// The number of sequences of `epoch`.
  func count(epoch: Int) -> Int {
    switch self {
    case .fixed(let examples): examples.count
    case .varied(let conversations): conversations.count(epoch: epoch)
    }
  }

  var byteCount: Int {
    switch self {
    case .fixed(let examples): examples.byteCount
    case .varied(let conversations): conversations.byteCount
    }
  }
}

/// What reading needs to know beside the rows.
struct TaskContext {
  let tokenizer: Tokenizer
  let configuration: TrainingConfiguration
  /// `tokensMax` of the configuration, or the model's context if that is shorter.
  let tokensMax: Int
  let isCancelled: () -> Bool

  /// The rows of `split` that are read.
  func rowLimit(_ split: Split) -> Int {
    split == .dev && configuration.devRowsMax > 0 ? configuration.devRowsMax : DataLimits.rowsMax
  }
}

extension TaskData {
  /// Refuses a split without rows.
  static func requireRows(_ count: Int, _ split: Split) throws(TrainerError) {
    guard count > 0 else {
      throw TrainerError(.invalidData, "the \(split.rawValue) split has no rows")
    }
  }

  /// Refuses label sets that make no task.
  static func requireLabels(_ labels: [String]) throws(TrainerError) {
    guard labels.count >= 2 else {
      let found = labels.joined(separator: ", ")
      throw TrainerError(
        .invalidData,
        "train has \(labels.count) labels (\(found)); a model needs two to tell apart"
      )
    }
    guard labels.count <= DataLimits.labelsMax else {
      throw TrainerError(
        .invalidData,
        "train has \(labels.count) labels; at most \(DataLimits.labelsMax)"
      )
    }
  }
}
