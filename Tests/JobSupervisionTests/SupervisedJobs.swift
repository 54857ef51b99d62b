import Foundation
import GRDB
import JobStore
import JobSupervision
import Synchronization
import Testing
import WorkerProtocol

/// A temporary folder with a store of jobs that the sample worker runs; removed with the object.
final class SupervisedJobs: Sendable {
  let root: String
  let store: JobStore
  let options: SupervisionOptions
  private let kept = Mutex<[SupervisionNotice]>([])
  private let told: AsyncStream<SupervisionNotice>
  private let teller: AsyncStream<SupervisionNotice>.Continuation

  init(
    jobsMax: Int = 1,
    stopGrace: Duration = .seconds(20),
    worker: String? = nil,
    root: String? = nil
  ) throws {
    (told, teller) = AsyncStream.makeStream()
    self.root =
      root ?? FileManager.default.temporaryDirectory.path + "/supervised-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: self.root, withIntermediateDirectories: true)
    store = try JobStore(path: "\(self.root)/jobs.sqlite")
    let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    let folder = URL(filePath: tests).deletingLastPathComponent()
    var options = SupervisionOptions(
      worker: worker ?? folder.appending(path: "TrainingWorkerSample").path,
      folder: "\(self.root)/jobs",
      jobsMax: jobsMax,
      threads: 1,
      memoryBytesMax: 1 << 30,
      dataAddress: "127.0.0.1:1"
    )
    options.stopGrace = stopGrace
    options.restartDelay = { _ in .milliseconds(2) }
    options.hostDelay = { _ in .milliseconds(2) }
    self.options = options
  }

  deinit { try? FileManager.default.removeItem(atPath: root) }

  /// What the supervisors have reported.
  var notices: [SupervisionNotice] { kept.withLock { $0 } }

  func supervisor() -> JobSupervisor {
    JobSupervisor(store: store, options: options) { notice in
      self.kept.withLock { $0.append(notice) }
      self.teller.yield(notice)
    }
  }

  /// Waits for a notice; one task may.
  func notice(_ isWanted: (SupervisionNotice) -> Bool) async {
    for await notice in told where isWanted(notice) { return }
  }

  /// Makes statements of the store fail, such as "UPDATE ON attempt", until the result is called.
  func breakStore(_ statement: String) throws -> @Sendable () throws -> Void {
    let queue = try DatabaseQueue(path: "\(root)/jobs.sqlite")
    try queue.write {
      try $0.execute(
        sql: "CREATE TRIGGER broken BEFORE \(statement) BEGIN SELECT RAISE(ABORT, 'broken'); END"
      )
    }
    return { try queue.write { try $0.execute(sql: "DROP TRIGGER broken") } }
  }

  /// Runs a supervisor during the body, and stops it.
  func supervised(_ body: @escaping @Sendable (JobSupervisor) async throws -> Void) async throws {
    let supervisor = supervisor()
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await supervisor.run() }
      let result: Result<Void, any Error>
      do {
        result = .success(try await body(supervisor))
      } catch {
        result = .failure(error)
      }
      await supervisor.stop()
      try await group.waitForAll()
      try result.get()
    }
  }

  /// Creates a job of the sample worker.
  func create(_ settings: [String: String] = [:], model: String = "m") async throws -> Job {
    let specification = JobSpecification(
      task: .ner,
      dataset: "d@1",
      model: model,
      settings: settings
    )
    return try await store.create(specification, key: nil, request: "").job
  }

  /// Waits until a job is as it is wanted, and returns it.
  func wait(
    for job: Job,
    until condition: @escaping @Sendable (Job) -> Bool = { $0.state.isFinal }
  ) async throws -> Job {
    let changes = store.changes(of: job.id)
    let now = try await store.job(job.id)
    if condition(now) { return now }
    for await _ in changes {
      let now = try await store.job(job.id)
      if condition(now) { return now }
    }
    throw CancellationError()
  }

  /// What a job did, from its events: the process of its last attempt.
  func process(of job: Job) async throws -> pid_t {
    let events = try await store.events(of: job.id, after: 0, count: 10_000).events
    let numbers = events.compactMap { event -> pid_t? in
      guard case .worker(.log(let log)) = event.body else { return nil }
      return pid_t(log.message.replacing("process ", with: ""))
    }
    return try #require(numbers.last)
  }

  func exists(_ job: Job, _ path: String) -> Bool {
    FileManager.default.fileExists(atPath: "\(root)/jobs/\(job.id)/\(path)")
  }

  /// The weights of so many steps without a break.
  static func weights(_ steps: UInt64) -> Double {
    var weights: UInt64 = 0
    for step in 1...steps { weights = weights &* 6_364_136_223_846_793_005 &+ step }
    return Double(weights >> 11)
  }
}

/// Whether a process runs: neither gone nor waiting for its parent to take notice.
func isAlive(_ process: pid_t) -> Bool {
  guard let stat = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8) else {
    return false
  }
  return stat.split(separator: ")").last?.contains("Z") == false
}
