package import WorkerProtocol

/// Where a job is in its life.
package enum JobState: String, Sendable, Codable, CaseIterable {
  /// Waits for a place or for its next attempt. Can become `running` or `cancelled`.
  case queued
  /// A worker works on it. Can become `queued` (for another attempt), `succeeded`, `failed` or `cancelled`.
  case running
  /// The result is registered; final.
  case succeeded
  /// It cannot succeed, or failed too often; final.
  case failed
  /// Ended at its owner's wish; final.
  case cancelled

  /// Whether nothing can follow.
  package var isFinal: Bool {
    switch self {
    case .queued, .running: false
    case .succeeded, .failed, .cancelled: true
    }
  }

  /// Whether `next` can follow.
  package func canBecome(_ next: JobState) -> Bool {
    switch self {
    case .queued: next == .running || next == .cancelled
    case .running: next != .running
    case .succeeded, .failed, .cancelled: false
    }
  }
}

/// How one worker process of a job ended.
package enum AttemptOutcome: String, Sendable, Codable, CaseIterable {
  /// It has not ended.
  case running
  /// It registered the result.
  case succeeded
  /// It crashed or gave up; counts against the restarts.
  case failed
  /// It was told to stop for its owner.
  case cancelled
  /// The service stopped or died under it, or the machine or another service failed it; does not count against the
  /// restarts.
  case interrupted
}

/// One worker process of a job.
package struct Attempt: Sendable, Equatable {
  /// The attempt's number, from 1.
  package var number: UInt32
  /// How it ended.
  package var outcome: AttemptOutcome
  /// Milliseconds since 1970-01-01 UTC, as all times here.
  package var startedAtMilliseconds: Int64
  /// Nil while it runs.
  package var endedAtMilliseconds: Int64?
  /// Why it failed; empty otherwise.
  package var message: String
}

/// How far a job is: the newest figures, each 0 until it is known.
package struct JobProgress: Sendable, Equatable, Codable {
  /// Steps done.
  package var step: UInt64 = 0
  /// Steps of the whole job.
  package var steps: UInt64 = 0
  /// Passes over the data, as a fraction.
  package var epoch: Double = 0
  /// The last step's loss.
  package var loss: Double = 0
  /// The last step's learning rate.
  package var learningRate: Double = 0
  /// The present rate.
  package var tokensPerSecond: Double = 0
  /// Rows of the training split.
  package var rows: UInt64 = 0
  /// Tokens of the training split.
  package var tokens: UInt64 = 0
  /// The worker's memory as estimated.
  package var memoryBytes: UInt64 = 0
  /// When the present attempt did its first step, and which; the rate of steps follows from it.
  package var firstStepAtMilliseconds: Int64 = 0
  /// See `firstStepAtMilliseconds`.
  package var firstStep: UInt64 = 0
  /// When the last step was done.
  package var lastStepAtMilliseconds: Int64 = 0

  /// Nothing known.
  package init() {}

  /// Seconds until the last step at the rate since the attempt's first one; nil while it cannot be told.
  package var remainingSeconds: Double? {
    let elapsed = lastStepAtMilliseconds - firstStepAtMilliseconds
    guard step > firstStep, steps >= step, elapsed > 0 else { return nil }
    return Double(steps - step) * Double(elapsed) / Double(step - firstStep) / 1_000
  }
}

/// A job as it was when it was read.
package struct Job: Sendable, Equatable {
  /// `job-` and ten hexadecimal digits.
  package var id: String
  /// The order of creation.
  package var number: Int64
  /// What is to be trained.
  package var specification: JobSpecification
  /// Where it is in its life.
  package var state: JobState
  /// Why it failed; empty otherwise.
  package var error: String
  /// Whether its owner wants it to end.
  package var isCancelRequested: Bool
  /// When it was created.
  package var createdAtMilliseconds: Int64
  /// When its first attempt began; nil until then.
  package var startedAtMilliseconds: Int64?
  /// When it reached a final state; nil until then.
  package var endedAtMilliseconds: Int64?
  /// Not started again before this time; 0: at once.
  package var notBeforeMilliseconds: Int64
  /// Attempts that failed.
  package var failures: Int
  /// Its worker processes, by number.
  package var attempts: [Attempt]
  /// How far it is.
  package var progress: JobProgress
  /// The registered version of a job that succeeded, `name@3`.
  package var resultModel: String?
  /// The result's metrics.
  package var metrics: [String: Double]
  /// The names of its reports.
  package var reports: [String]
  /// The newest event's cursor; 0 without events.
  package var cursor: UInt64
  /// Chosen by its creator.
  package var idempotencyKey: String?
}

/// Something that happened to a job.
package struct JobEvent: Sendable, Equatable {
  /// What happened.
  package enum Body: Sendable, Equatable {
    /// Told by the worker; never `finished` or `failed`, which end the attempt.
    case worker(WorkerEvent)
    /// The job's state is another one now, with the reason.
    case state(JobState, message: String)
    /// A worker ended.
    case attemptEnded(AttemptOutcome, message: String)
  }

  /// Grows by at least one with every event of a job.
  package var cursor: UInt64
  /// When.
  package var timeMilliseconds: Int64
  /// The attempt it belongs to; 0 before the first.
  package var attempt: UInt32
  /// What happened.
  package var body: Body
}

/// The figures of one name over the steps of a job.
package struct MetricSeries: Sendable, Equatable {
  /// The job.
  package var job: String
  /// Such as `train.loss` or `dev.f1`.
  package var name: String
  /// By step; parallel to `values`.
  package var steps: [UInt64]
  /// By step; parallel to `steps`.
  package var values: [Double]
}
