/// What a worker tells the service: one JSON object on one line of its standard output, `{"step":{…}}`.
package enum WorkerEvent: Sendable, Equatable {
  /// The data is read and the work is known; the first event of every attempt that gets that far.
  case prepared(Prepared)
  /// The parameters were changed once.
  case step(Step)
  /// A split was evaluated.
  case evaluation(Evaluation)
  /// A state from which the job can go on is on disk.
  case checkpoint(Checkpoint)
  /// A line for the job's log.
  case log(Log)
  /// The result is registered; the last event of a worker that then exits with 0.
  case finished(Finished)
  /// The job cannot succeed, however often it is tried: bad data, too little memory. The last event.
  case failed(Failed)

  /// The size of the work.
  package struct Prepared: Sendable, Equatable, Codable {
    /// Rows of the training split.
    package var rows: UInt64
    /// Tokens of the training split.
    package var tokens: UInt64
    /// Steps of the whole job.
    package var steps: UInt64
    /// The worker's memory as estimated before the first step.
    package var memoryBytes: UInt64

    /// See the properties.
    package init(rows: UInt64, tokens: UInt64, steps: UInt64, memoryBytes: UInt64) {
      self.rows = rows
      self.tokens = tokens
      self.steps = steps
      self.memoryBytes = memoryBytes
    }
  }

  /// One step of the optimizer.
  package struct Step: Sendable, Equatable, Codable {
    /// 1, 2, …; the same number and figures again after a restart from a checkpoint.
    package var step: UInt64
    /// Passes over the data, as a fraction.
    package var epoch: Double
    /// The loss of the step's batch.
    package var loss: Double
    /// The learning rate of the step.
    package var learningRate: Double
    /// The gradient's global norm before clipping.
    package var gradientNorm: Double
    /// The present rate.
    package var tokensPerSecond: Double

    /// See the properties.
    package init(
      step: UInt64,
      epoch: Double,
      loss: Double,
      learningRate: Double,
      gradientNorm: Double,
      tokensPerSecond: Double
    ) {
      self.step = step
      self.epoch = epoch
      self.loss = loss
      self.learningRate = learningRate
      self.gradientNorm = gradientNorm
      self.tokensPerSecond = tokensPerSecond
    }
  }

  /// The metrics of a split.
  package struct Evaluation: Sendable, Equatable, Codable {
    /// The step after which it was made.
    package var step: UInt64
    /// Passes over the data, as a fraction.
    package var epoch: Double
    /// The split's name.
    package var split: String
    /// The metrics by name.
    package var metrics: [String: Double]

    /// See the properties.
    package init(step: UInt64, epoch: Double, split: String, metrics: [String: Double]) {
      self.step = step
      self.epoch = epoch
      self.split = split
      self.metrics = metrics
    }
  }

  /// A checkpoint.
  package struct Checkpoint: Sendable, Equatable, Codable {
    /// The last step it holds.
    package var step: UInt64

    /// See the property.
    package init(step: UInt64) { self.step = step }
  }

  /// A line of the log.
  package struct Log: Sendable, Equatable, Codable {
    /// How much it matters.
    package enum Level: String, Sendable, Codable { case info, warning, error }

    /// How much it matters.
    package var level: Level
    /// The text.
    package var message: String

    /// See the properties.
    package init(level: Level, message: String) {
      self.level = level
      self.message = message
    }
  }

  /// The result of a job.
  package struct Finished: Sendable, Equatable, Codable {
    /// The registered version, `name@3`.
    package var model: String
    /// The metrics, such as `test.f1`.
    package var metrics: [String: Double]

    /// See the properties.
    package init(model: String, metrics: [String: Double]) {
      self.model = model
      self.metrics = metrics
    }
  }

  /// Why a job cannot succeed.
  package struct Failed: Sendable, Equatable, Codable {
    /// One line that names the field, file and row, or the numbers.
    package var message: String

    /// See the property.
    package init(message: String) { self.message = message }
  }
}

extension WorkerEvent: Codable {
  private enum Key: String, CodingKey {
    case prepared, step, evaluation, checkpoint, log, finished, failed
  }

  /// Reads an object with one key, the event's name.
  package init(from decoder: any Decoder) throws {
    let object = try decoder.container(keyedBy: Key.self)
    guard object.allKeys.count == 1, let key = object.allKeys.first else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "not one known event")
      )
    }
    self =
      switch key {
      case .prepared: .prepared(try object.decode(Prepared.self, forKey: key))
      case .step: .step(try object.decode(Step.self, forKey: key))
      case .evaluation: .evaluation(try object.decode(Evaluation.self, forKey: key))
      case .checkpoint: .checkpoint(try object.decode(Checkpoint.self, forKey: key))
      case .log: .log(try object.decode(Log.self, forKey: key))
      case .finished: .finished(try object.decode(Finished.self, forKey: key))
      case .failed: .failed(try object.decode(Failed.self, forKey: key))
      }
  }

  /// Writes an object with one key, the event's name.
  package func encode(to encoder: any Encoder) throws {
    var object = encoder.container(keyedBy: Key.self)
    switch self {
    case .prepared(let value): try object.encode(value, forKey: .prepared)
    case .step(let value): try object.encode(value, forKey: .step)
    case .evaluation(let value): try object.encode(value, forKey: .evaluation)
    case .checkpoint(let value): try object.encode(value, forKey: .checkpoint)
    case .log(let value): try object.encode(value, forKey: .log)
    case .finished(let value): try object.encode(value, forKey: .finished)
    case .failed(let value): try object.encode(value, forKey: .failed)
    }
  }
}
