import JobStore
import ServiceAPI
import WorkerProtocol

// How the domain's types look on the wire.

extension JobSpecification.Task {
  /// The task of a message; nil for one that is unspecified or unknown.
  init?(_ task: TrainingV1.TrainingTask) {
    switch task {
    case .ner: self = .ner
    case .classify: self = .classify
    case .chat: self = .chat
    default: return nil
    }
  }

  fileprivate var message: TrainingV1.TrainingTask {
    switch self {
    case .ner: .ner
    case .classify: .classify
    case .chat: .chat
    }
  }
}

extension JobState {
  /// The state of a message; nil for one that is unspecified or unknown.
  init?(_ state: TrainingV1.JobState) {
    switch state {
    case .queued: self = .queued
    case .running: self = .running
    case .succeeded: self = .succeeded
    case .failed: self = .failed
    case .cancelled: self = .cancelled
    default: return nil
    }
  }

  fileprivate var message: TrainingV1.JobState {
    switch self {
    case .queued: .queued
    case .running: .running
    case .succeeded: .succeeded
    case .failed: .failed
    case .cancelled: .cancelled
    }
  }
}

extension AttemptOutcome {
  fileprivate var message: TrainingV1.AttemptOutcome {
    switch self {
    case .running: .running
    case .succeeded: .succeeded
    case .failed: .failed
    case .cancelled: .cancelled
    case .interrupted: .interrupted
    }
  }
}

extension TrainingV1.Job {
  /// Attempts that are shown: the last ones.
  static let attemptsMax = 50

  /// The message of a job; its place in the queue aside.
  init(_ job: Job) {
    self.init()
    id = job.id
    specification = TrainingV1.JobSpecification(job.specification)
    state = job.state.message
    error = job.error
    cancelRequested = job.isCancelRequested
    createdAtMs = job.createdAtMilliseconds
    startedAtMs = job.startedAtMilliseconds ?? 0
    endedAtMs = job.endedAtMilliseconds ?? 0
    attempts = job.attempts.suffix(Self.attemptsMax).map(TrainingV1.Attempt.init)
    progress = TrainingV1.Progress(job.progress)
    resultModel = job.resultModel ?? ""
    metrics = job.metrics
    cursor = job.cursor
    idempotencyKey = job.idempotencyKey ?? ""
    reports = job.reports
  }
}

extension TrainingV1.JobSpecification {
  fileprivate init(_ specification: JobSpecification) {
    self.init()
    task = specification.task.message
    dataset = specification.dataset
    trainSplit = specification.trainSplit
    devSplit = specification.devSplit ?? ""
    testSplit = specification.testSplit ?? ""
    baseModel = specification.baseModel ?? ""
    model = specification.model
    settings = specification.settings
  }
}

extension TrainingV1.Attempt {
  fileprivate init(_ attempt: Attempt) {
    self.init()
    number = attempt.number
    outcome = attempt.outcome.message
    startedAtMs = attempt.startedAtMilliseconds
    endedAtMs = attempt.endedAtMilliseconds ?? 0
    message = attempt.message
  }
}

extension TrainingV1.Progress {
  fileprivate init(_ progress: JobProgress) {
    self.init()
    step = progress.step
    steps = progress.steps
    epoch = progress.epoch
    loss = progress.loss
    learningRate = progress.learningRate
    tokensPerSecond = progress.tokensPerSecond
    rows = progress.rows
    tokens = progress.tokens
    memoryBytes = progress.memoryBytes
    remainingSeconds = progress.remainingSeconds ?? 0
  }
}

extension TrainingV1.JobEvent {
  /// The message of an event.
  init(_ event: JobEvent) {
    self.init()
    cursor = event.cursor
    timeMs = event.timeMilliseconds
    attempt = event.attempt
    switch event.body {
    case .state(let state, let message):
      var changed = TrainingV1.StateChanged()
      changed.state = state.message
      changed.message = message
      self.event = .state(changed)
    case .attemptEnded(let outcome, let message):
      var ended = TrainingV1.AttemptEnded()
      ended.outcome = outcome.message
      ended.message = message
      self.event = .attemptEnded(ended)
    case .worker(let event): self.event = Event(event)
    }
  }
}

extension TrainingV1.JobEvent.Event {
  /// Nil for what ends an attempt, which is not kept as an event of its own.
  fileprivate init?(_ event: WorkerEvent) {
    switch event {
    case .prepared(let value):
      var message = TrainingV1.Prepared()
      message.rows = value.rows
      message.tokens = value.tokens
      message.steps = value.steps
      message.memoryBytes = value.memoryBytes
      self = .prepared(message)
    case .step(let value):
      var message = TrainingV1.Step()
      message.step = value.step
      message.epoch = value.epoch
      message.loss = value.loss
      message.learningRate = value.learningRate
      message.gradientNorm = value.gradientNorm
      message.tokensPerSecond = value.tokensPerSecond
      self = .step(message)
    case .evaluation(let value):
      var message = TrainingV1.Evaluation()
      message.step = value.step
      message.epoch = value.epoch
      message.split = value.split
      message.metrics = value.metrics
      self = .evaluation(message)
    case .checkpoint(let value):
      var message = TrainingV1.Checkpoint()
      message.step = value.step
      self = .checkpoint(message)
    case .log(let value):
      var message = TrainingV1.Log()
      message.level = value.level.rawValue
      message.message = value.message
      self = .log(message)
    case .finished, .failed: return nil
    }
  }
}

extension TrainingV1.MetricSeries {
  /// The message of a series.
  init(_ series: MetricSeries) {
    self.init()
    jobID = series.job
    name = series.name
    steps = series.steps
    values = series.values
  }
}

extension TrainingV1.Setting {
  /// The message of a setting.
  init(_ setting: TaskSettings.Setting) {
    self.init()
    name = setting.name
    type = setting.type
    defaultValue = setting.defaultValue
    meaning = setting.meaning
  }
}
