import ServiceAPI

/// What happened to a job, as OpenAI's API shows an event.
enum FineTuningEvent {
  /// What ids begin with; the job's id and the event's cursor follow.
  static let prefix = "ftevent-"

  /// An event's id.
  static func id(_ event: TrainingV1.JobEvent, of job: String) -> String {
    "\(prefix)\(job)-\(event.cursor)"
  }

  /// The cursor that an id of an event of `job` says.
  static func cursor(of id: String, job: String) throws(GatewayError) -> UInt64 {
    let head = "\(prefix)\(job)-"
    guard id.utf8.starts(with: head.utf8), let cursor = UInt64(id.dropFirst(head.count)) else {
      throw .invalid("after", "invalid_value", "No such event of this job: '\(id.quotable)'.")
    }
    return cursor
  }

  /// The object of an event.
  static func append(_ event: TrainingV1.JobEvent, of job: String, to json: inout JSONText) {
    json.raw(#"{"object":"fine_tuning.job.event","id":"#)
    json.string(id(event, of: job))
    json.raw(#","created_at":"#)
    json.number(event.timeMs / 1000)
    json.raw(#","level":"#)
    json.string(level(event))
    json.raw(#","message":"#)
    json.string(message(event))
    let metrics = metrics(event)
    json.raw(metrics.isEmpty ? #","type":"message","data":null}"# : #","type":"metrics","data":{"#)
    guard !metrics.isEmpty else { return }
    for (index, (name, value)) in metrics.enumerated() {
      if index > 0 { json.raw(",") }
      json.string(name)
      json.raw(":")
      json.number(value)
    }
    json.raw("}}")
  }

  private static func level(_ event: TrainingV1.JobEvent) -> String {
    switch event.event {
    case .log(let log):
      switch log.level {
      case "warning": "warn"
      case "error": "error"
      default: "info"
      }
    case .state(let change) where change.state == .failed: "error"
    case .attemptEnded(let end) where end.outcome == .failed: "warn"
    default: "info"
    }
  }

  private static func message(_ event: TrainingV1.JobEvent) -> String {
    switch event.event {
    case .state(let change):
      let words = "The job is \(FineTuningJob.status(change.state))"
      return change.message.isEmpty ? "\(words)." : "\(words): \(change.message)"
    case .prepared(let prepared):
      return "\(prepared.rows) rows with \(prepared.tokens) tokens make \(prepared.steps) steps."
    case .step(let step): return "Step \(step.step): training loss=\(rounded(step.loss))"
    case .evaluation(let evaluation):
      return "Evaluated on '\(evaluation.split)' after epoch \(rounded(evaluation.epoch))."
    case .checkpoint(let checkpoint): return "Checkpoint after step \(checkpoint.step)."
    case .log(let log): return log.message
    case .attemptEnded(let end):
      return end.message.isEmpty ? "An attempt ended." : "An attempt ended: \(end.message)"
    case nil: return ""
    }
  }

  private static func metrics(_ event: TrainingV1.JobEvent) -> [(String, Double)] {
    switch event.event {
    case .step(let step):
      [
        ("step", Double(step.step)), ("epoch", step.epoch), ("train_loss", step.loss),
        ("learning_rate", step.learningRate),
      ]
    case .evaluation(let evaluation):
      [("epoch", evaluation.epoch)]
        + evaluation.metrics.sorted { $0.key < $1.key }
        .map { ("\(evaluation.split).\($0.key)", $0.value) }
    default: []
    }
  }

  /// Four decimals, as OpenAI's messages have them.
  private static func rounded(_ value: Double) -> String {
    guard value.isFinite, abs(value) < 1e9 else { return "\(value)" }
    return "\((value * 10_000).rounded() / 10_000)"
  }
}
