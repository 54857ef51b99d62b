import Foundation
import JobStore
import Synchronization
import Testing
import WorkerProtocol

/// A temporary folder with a store and a clock that stands still; removed with the object.
final class TemporaryJobs: Sendable {
  let root: String
  let time = Mutex<Int64>(1_000)
  var path: String { "\(root)/jobs.sqlite" }

  init() throws {
    root = FileManager.default.temporaryDirectory.path + "/jobs-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: root) }

  func open(_ limits: JobLimits = JobLimits()) throws -> JobStore {
    try JobStore(path: path, limits: limits, now: { [self] in time.withLock { $0 } })
  }

  func advance(by milliseconds: Int64) { time.withLock { $0 += milliseconds } }
}

extension JobStore {
  /// Creates a job without a key.
  func create(_ model: String = "m") async throws -> Job {
    try await create(.sample(model), key: nil, request: model).job
  }

  /// Creates a job and starts its first attempt.
  func createRunning(_ model: String = "m") async throws -> Job {
    try await startAttempt(of: create(model).id)
  }

  /// Ends the running attempt, with delays that grow.
  func end(_ job: Job, _ end: AttemptEnd) async throws -> Job {
    try await endAttempt(of: job.id, end, delay: { Int64($0) * 100 }, hostDelay: { Int64($0) * 10 })
  }

  func allEvents(of job: Job) async throws -> [JobEvent] {
    try await events(of: job.id, after: 0, count: .max).events
  }
}

extension JobSpecification {
  static func sample(_ model: String = "m") -> JobSpecification {
    JobSpecification(task: .ner, dataset: "d@1", model: model, settings: ["epochs": "2"])
  }
}

extension WorkerEvent {
  static func step(_ number: UInt64, loss: Double = 1) -> WorkerEvent {
    .step(
      Step(
        step: number,
        epoch: Double(number) / 10,
        loss: loss,
        learningRate: 0.1,
        gradientNorm: 2,
        tokensPerSecond: 3
      )
    )
  }
}

/// Runs the body and returns the error it must throw.
func failure(
  _ location: SourceLocation = #_sourceLocation,
  _ body: () async throws -> Void
) async throws -> JobStoreError {
  let error = await #expect(throws: JobStoreError.self, sourceLocation: location) {
    try await body()
  }
  return try #require(error, sourceLocation: location)
}
