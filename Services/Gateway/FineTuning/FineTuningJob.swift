import ServiceAPI

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// A training job as OpenAI's API shows a fine-tuning job.
enum FineTuningJob {
  /// OpenAI's words for the states.
  static func status(_ state: TrainingV1.JobState) -> String {
    switch state {
    case .queued: "queued"
    case .running: "running"
    case .succeeded: "succeeded"
    case .failed: "failed"
    case .cancelled: "cancelled"
    default: "validating_files"
    }
  }

  /// The object of a job.
  static func append(_ job: TrainingV1.Job, to json: inout JSONText) {
    let specification = job.specification ?? .init()
    json.raw(#"{"id":"#)
    json.string(job.id)
    json.raw(#","object":"fine_tuning.job","model":"#)
    json.string(
      specification.baseModel.isEmpty ? specification.model : specification.baseModel
    )
    json.raw(#","created_at":"#)
    json.number(job.createdAtMs / 1000)
    json.raw(#","finished_at":"#)
    number(job.endedAtMs == 0 ? nil : job.endedAtMs / 1000, &json)
    json.raw(#","estimated_finish":"#)
    number(estimatedFinish(job), &json)
    json.raw(#","status":"#)
    json.string(status(job.state))
    json.raw(#","fine_tuned_model":"#)
    json.string(job.resultModel.isEmpty ? nil : job.resultModel)
    json.raw(#","training_file":"#)
    let files = files(specification.dataset)
    json.string(files.training)
    json.raw(#","validation_file":"#)
    json.string(files.validation)
    json.raw(#","organization_id":"llmos","result_files":[],"seed":"#)
    number(specification.settings["seed"].flatMap { Int64($0) }, &json)
    json.raw(#","trained_tokens":"#)
    number(job.state == .succeeded ? trainedTokens(job) : nil, &json)
    json.raw(#","integrations":[],"metadata":{},"error":"#)
    appendError(job, &json)
    appendMethod(specification, &json)
    appendExtension(job, specification, &json)
    json.raw("}")
  }

  private static func number(_ value: Int64?, _ json: inout JSONText) {
    if let value { json.number(value) } else { json.raw("null") }
  }

  private static func estimatedFinish(_ job: TrainingV1.Job) -> Int64? {
    guard job.state == .running, let progress = job.progress,
      (1...Self.remainingSecondsMax).contains(progress.remainingSeconds)
    else { return nil }
    return Int64(Date().timeIntervalSince1970 + progress.remainingSeconds)
  }

  /// A longer estimate is none: ten years.
  private static let remainingSecondsMax = 3.2e8

  private static func trainedTokens(_ job: TrainingV1.Job) -> Int64? {
    guard let progress = job.progress else { return nil }
    let tokens = Double(progress.tokens) * max(progress.epoch, 0)
    return tokens > 0 && tokens < 0x1p62 ? Int64(tokens) : nil
  }

  /// A dataset that was uploaded is shown by its file's id, one made of two files by theirs.
  private static func files(_ dataset: String) -> (training: String, validation: String?) {
    let name = String(dataset.prefix { $0 != "@" })
    if let files = JoinedDataset.files(of: name) { return (files.training, files.validation) }
    return (FileObject.isID(name) ? name : dataset, nil)
  }

  private static func appendError(_ job: TrainingV1.Job, _ json: inout JSONText) {
    guard job.state == .failed else { return json.raw("null") }
    json.raw(#"{"code":"training_failed","param":null,"message":"#)
    json.string(job.error)
    json.raw("}")
  }

  private static func appendMethod(
    _ specification: TrainingV1.JobSpecification,
    _ json: inout JSONText
  ) {
    var values = JSONText()
    values.raw(#"{"n_epochs":"#)
    setting(specification.settings["epochs"], &values)
    values.raw(#","batch_size":"#)
    setting(specification.settings["batchSize"], &values)
    values.raw(#","learning_rate_multiplier":"#)
    setting(specification.settings["learningRateMultiplier"], &values)
    values.raw("}")
    json.raw(#","hyperparameters":"#)
    json.raw(values.bytes)
    json.raw(#","method":{"type":"supervised","supervised":{"hyperparameters":"#)
    json.raw(values.bytes)
    json.raw("}}")
  }

  private static func setting(_ value: String?, _ json: inout JSONText) {
    if let number = value.flatMap({ Int64($0) }) {
      json.number(number)
    } else if let number = value.flatMap({ Double($0) }), number.isFinite {
      json.number(number)
    } else {
      json.string("auto")
    }
  }

  /// What OpenAI's object has no place for.
  private static func appendExtension(
    _ job: TrainingV1.Job,
    _ specification: TrainingV1.JobSpecification,
    _ json: inout JSONText
  ) {
    json.raw(#","llmos":{"task":"#)
    json.string(FineTuningRequest.Task(specification.task)?.rawValue)
    json.raw(#","model":"#)
    json.string(specification.model)
    json.raw(#","dataset":"#)
    json.string(specification.dataset)
    json.raw(#","settings":{"#)
    for (index, (key, value)) in specification.settings.sorted(by: { $0.key < $1.key }).enumerated()
    {
      if index > 0 { json.raw(",") }
      json.string(key)
      json.raw(":")
      json.string(value)
    }
    json.raw(#"},"metrics":{"#)
    var isFirst = true
    for (key, value) in job.metrics.sorted(by: { $0.key < $1.key }) where value.isFinite {
      if !isFirst { json.raw(",") }
      isFirst = false
      json.string(key)
      json.raw(":")
      json.number(value)
    }
    json.raw("}")
    if let progress = job.progress {
      json.raw(#","step":"#)
      json.number(progress.step)
      json.raw(#","steps":"#)
      json.number(progress.steps)
      json.raw(#","remaining_seconds":"#)
      json.number(progress.remainingSeconds.isFinite ? progress.remainingSeconds : 0)
    }
    json.raw("}")
  }
}

extension FineTuningRequest.Task {
  /// The task of a job; nil for one that is not known.
  init?(_ task: TrainingV1.TrainingTask) {
    switch task {
    case .ner: self = .ner
    case .classify: self = .classify
    case .chat: self = .chat
    default: return nil
    }
  }

  /// The message's word.
  var message: TrainingV1.TrainingTask {
    switch self {
    case .ner: .ner
    case .classify: .classify
    case .chat: .chat
    }
  }

  /// What rows of a kind are for.
  init?(_ kind: DatasetsV1.RowKind) {
    switch kind {
    case .tokenClassification: self = .ner
    case .sequenceClassification: self = .classify
    case .chat: self = .chat
    default: return nil
    }
  }
}
