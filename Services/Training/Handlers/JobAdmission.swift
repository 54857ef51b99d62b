import RPC
package import ServiceAPI
import WorkerProtocol

/// Checks what a job is asked to do before it is queued, and pins its names to versions.
package struct JobAdmission: Sendable {
  /// UTF-8 bytes of an idempotency key.
  static let keyBytesMax = 128
  /// Settings of one job.
  static let settingsMax = 64
  /// UTF-8 bytes of a name, a reference or the name or value of a setting.
  static let textBytesMax = 256
  /// How long the data-management service may take to answer one question.
  static let answerTimeout: Duration = .seconds(10)

  private let settings: TaskSettings
  private let datasets: DatasetsV1.DatasetsClient
  private let registry: RegistryV1.RegistryClient

  /// Checks against the data-management service behind two clients.
  package init(
    settings: TaskSettings,
    datasets: DatasetsV1.DatasetsClient,
    registry: RegistryV1.RegistryClient
  ) {
    self.settings = settings
    self.datasets = datasets
    self.registry = registry
  }

  /// Checks all that can be checked without another service: the fields and the settings.
  func checkForm(_ request: TrainingV1.CreateJobRequest) throws(RPCError) -> JobSpecification {
    guard request.idempotencyKey.utf8.count <= Self.keyBytesMax else {
      throw invalid("idempotency_key", "is longer than \(Self.keyBytesMax) bytes")
    }
    guard let asked = request.specification else { throw invalid("specification", "is missing") }
    guard let task = JobSpecification.Task(asked.task) else {
      throw invalid("specification.task", "must be NER, CLASSIFY or CHAT")
    }
    let references = [
      ("dataset", asked.dataset), ("train_split", asked.trainSplit),
      ("dev_split", asked.devSplit), ("test_split", asked.testSplit),
      ("base_model", asked.baseModel), ("model", asked.model),
    ]
    for (field, text) in references where text.utf8.count > Self.textBytesMax {
      throw invalid("specification.\(field)", "is longer than \(Self.textBytesMax) bytes")
    }
    guard !asked.dataset.isEmpty else { throw invalid("specification.dataset", "is missing") }
    guard Self.isName(asked.model) else {
      throw invalid(
        "specification.model",
        "is \"\(asked.model)\"; it must be 1 to 64 of a-z 0-9 . _ -, starting with a letter or "
          + "digit"
      )
    }
    if task != .chat, asked.baseModel.isEmpty {
      throw invalid("specification.base_model", "is missing: only chat models start from scratch")
    }
    guard asked.settings.count <= Self.settingsMax else {
      throw invalid("specification.settings", "are more than \(Self.settingsMax)")
    }
    for (name, value) in asked.settings
    where max(name.utf8.count, value.utf8.count) > Self.textBytesMax {
      throw invalid("specification.settings", "have a text of over \(Self.textBytesMax) bytes")
    }
    if let problem = settings.problem(task, asked.settings) {
      throw RPCError(.invalidArgument, "specification.settings: \(problem)")
    }
    return JobSpecification(
      task: task,
      dataset: asked.dataset,
      trainSplit: asked.trainSplit.isEmpty ? "train" : asked.trainSplit,
      devSplit: asked.devSplit.isEmpty ? nil : asked.devSplit,
      testSplit: asked.testSplit.isEmpty ? nil : asked.testSplit,
      baseModel: asked.baseModel.isEmpty ? nil : asked.baseModel,
      model: asked.model,
      settings: asked.settings
    )
  }

  /// Checks that the dataset and the base model are there and fit the task; returns them pinned.
  func pin(_ asked: JobSpecification) async throws(RPCError) -> JobSpecification {
    var pinned = asked
    let dataset = try await dataset(asked)
    pinned.dataset = "\(dataset.name)@\(dataset.version)"
    let rows = Dictionary(dataset.splits.map { ($0.name, $0.rows) }) { first, _ in first }
    if asked.devSplit == nil { pinned.devSplit = ["dev", "validation"].first { rows[$0] != nil } }
    if asked.testSplit == nil, rows["test"] != nil { pinned.testSplit = "test" }
    let splits = [
      ("train_split", pinned.trainSplit), ("dev_split", pinned.devSplit),
      ("test_split", pinned.testSplit),
    ]
    for (field, split) in splits {
      guard let split else { continue }
      guard let count = rows[split] else {
        let known = rows.keys.sorted().joined(separator: ", ")
        throw invalid(
          "specification.\(field)",
          "is \"\(split)\", but \(pinned.dataset) has the splits \(known)"
        )
      }
      guard count > 0 else {
        throw invalid("specification.\(field)", "is \"\(split)\", which has no rows")
      }
    }
    if let train = dataset.splits.first(where: { $0.name == pinned.trainSplit }) {
      try checkLabels(of: train, asked.task)
    }
    if let model = asked.baseModel { pinned.baseModel = try await baseModel(model, asked.task) }
    try await checkResult(asked)
    return pinned
  }

  /// Refuses a name whose versions are for another task: the result could not be registered.
  private func checkResult(_ asked: JobSpecification) async throws(RPCError) {
    var request = RegistryV1.ResolveModelRequest()
    request.model = asked.model
    let present: RegistryV1.ModelVersion
    do {
      present = try await registry.resolveModel(request, options: Self.callOptions)
    } catch  where error.code == .notFound {
      return
    } catch {
      throw Self.about("specification.model", error)
    }
    guard present.task == asked.task.modelTask else {
      throw invalid(
        "specification.model",
        "is \"\(asked.model)\", a model for \(present.task); the result is for "
          + "\(asked.task.modelTask): give it a name of its own"
      )
    }
  }

  /// Refuses training rows that leave a model nothing to tell apart.
  ///
  /// Where the labels are too many to be listed with the split, it has none here.
  private func checkLabels(
    of split: DatasetsV1.Split,
    _ task: JobSpecification.Task
  ) throws(RPCError) {
    // One tag of entities makes three labels.
    guard task != .chat, split.entities.isEmpty, split.labels.count == 1,
      let label = split.labels.first
    else { return }
    throw invalid(
      "specification.train_split",
      "is \"\(split.name)\", whose only label is \"\(label.name)\"; \(task.rawValue) needs two"
    )
  }

  private func dataset(
    _ asked: JobSpecification
  ) async throws(RPCError) -> DatasetsV1.DatasetVersion {
    var request = DatasetsV1.GetDatasetRequest()
    request.dataset = asked.dataset
    let dataset: DatasetsV1.DatasetVersion
    do {
      dataset = try await datasets.getDataset(request, options: Self.callOptions)
    } catch {
      throw Self.about("specification.dataset", error)
    }
    guard asked.task.rowKinds.contains(dataset.kind) else {
      throw invalid(
        "specification.dataset",
        "is \"\(asked.dataset)\", whose rows are \(dataset.kind); \(asked.task.rawValue) needs "
          + asked.task.rowKinds.map(\.description).joined(separator: " or ")
      )
    }
    return dataset
  }

  private func baseModel(
    _ name: String,
    _ task: JobSpecification.Task
  ) async throws(RPCError) -> String {
    var request = RegistryV1.ResolveModelRequest()
    request.model = name
    let model: RegistryV1.ModelVersion
    do {
      model = try await registry.resolveModel(request, options: Self.callOptions)
    } catch {
      throw Self.about("specification.base_model", error)
    }
    guard (model.task == "text-generation") == (task == .chat) else {
      throw invalid(
        "specification.base_model",
        "is \"\(name)\", a model for \(model.task), which \(task.rawValue) cannot start from"
      )
    }
    return "\(model.name)@\(model.version)"
  }

  /// A call waits for a connection: after an outage of the data service the channel needs a moment to notice its end.
  private static var callOptions: CallOptions {
    CallOptions(timeout: answerTimeout, readyTimeout: answerTimeout / 2)
  }

  /// The error of a call for a field: what the caller said is wrong, or the other service is not there.
  private static func about(_ field: String, _ error: RPCError) -> RPCError {
    switch error.code {
    case .notFound, .invalidArgument, .failedPrecondition, .dataLoss:
      RPCError(error.code, "\(field): \(error.message)", cause: error)
    case .cancelled: error
    default:
      RPCError(
        .unavailable,
        "\(field): the data-management service cannot be asked: \(error.message)",
        cause: error
      )
    }
  }

  private func invalid(_ field: String, _ predicate: String) -> RPCError {
    RPCError(.invalidArgument, "\(field) \(predicate)")
  }

  /// Whether the registry would take a text as a model's name.
  static func isName(_ text: String) -> Bool {
    func isLetterOrDigit(_ byte: UInt8) -> Bool {
      (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
        || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
    guard let first = text.utf8.first, text.utf8.count <= 64, isLetterOrDigit(first) else {
      return false
    }
    return text.utf8.allSatisfy {
      isLetterOrDigit($0) || [UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-")].contains($0)
    }
  }
}

extension JobSpecification.Task {
  /// What the result is for, as the registry writes it.
  fileprivate var modelTask: String {
    switch self {
    case .ner: "token-classification"
    case .classify: "text-classification"
    case .chat: "text-generation"
    }
  }

  /// The rows that can be trained on.
  fileprivate var rowKinds: [DatasetsV1.RowKind] {
    switch self {
    case .ner: [.tokenClassification]
    case .classify: [.sequenceClassification]
    case .chat: [.chat, .text]
    }
  }
}
