import Foundation
import JobStore
import JobSupervision
import Logging
import RPC
import ServiceAPI
package import ServiceKit
import ServiceLifecycle
import Synchronization

/// The training service, from its options to its handlers.
package enum TrainingProcess {
  /// The process `llmos-training`.
  ///
  /// - Parameters:
  ///   - settings: the trainer's rules for settings.
  ///   - processors: how many threads the machine can run at once.
  /// - Returns: the process, to be run.
  package static func process(settings: TaskSettings, processors: Int) -> ServiceProcess {
    ServiceProcess(
      name: "llmos-training",
      summary: "trains models: jobs, their queue, workers and figures",
      rpcPort: 7103,
      adminPort: 8103,
      options: TrainingOptions.all,
      build: { try await build($0, settings, processors) }
    )
  }

  private static func build(
    _ context: ServiceContext,
    _ settings: TaskSettings,
    _ processors: Int
  ) async throws -> ServiceParts {
    let configuration = context.configuration
    let options = try supervision(configuration, processors)
    let store = try await openStore(in: options.folder, configuration)
    let folders = JobFolders(root: options.folder)
    let monitor = SupervisionMonitor(logger: context.logger)
    monitor.register(in: context.metrics)
    StorageMetrics.register(folder: options.folder, in: context.metrics)
    let supervisor = JobSupervisor(store: store, options: options) { monitor.note($0) }
    let address = configuration[TrainingOptions.data]
    let channel = RPCChannel(to: address, group: context.eventLoopGroup)
    let admission = JobAdmission(
      settings: settings,
      datasets: DatasetsV1.DatasetsClient(channel),
      registry: RegistryV1.RegistryClient(channel)
    )
    let handlers = TrainingHandlers(
      store: store,
      supervisor: supervisor,
      folders: folders,
      admission: admission,
      settings: settings,
      health: context.health
    )
    let logger = context.logger
    return ServiceParts(
      rpc: [handlers],
      background: [
        Supervision(supervisor: supervisor), JobCounting(store: store, monitor: monitor),
      ],
      shutdownHooks: [
        { await channel.close() },
        {
          do {
            try store.close()
          } catch {
            logger.warning("the store of jobs did not close", metadata: ["error": "\(error)"])
          }
        },
      ]
    )
  }

  private static func supervision(
    _ configuration: Configuration,
    _ processors: Int
  ) throws -> SupervisionOptions {
    let worker = configuration[TrainingOptions.worker] ?? workerBesideThis()
    guard FileManager.default.isExecutableFile(atPath: worker) else {
      throw configuration.error(TrainingOptions.worker, "is not an executable: \(worker)")
    }
    let jobsMax = configuration[TrainingOptions.jobsMax]
    let threads = configuration[TrainingOptions.threads] ?? processors
    let memory =
      configuration[TrainingOptions.memory].map { UInt64($0.bytes) }
      ?? MachineMemory.bytes() / 4 * 3
    let directory = URL(fileURLWithPath: configuration[TrainingOptions.directory])
    var options = SupervisionOptions(
      worker: worker,
      folder: directory.standardizedFileURL.appending(path: "jobs").path,
      jobsMax: jobsMax,
      threads: max(1, threads / jobsMax),
      memoryBytesMax: memory / UInt64(jobsMax),
      dataAddress: configuration[TrainingOptions.data].description
    )
    options.stopGrace = configuration[TrainingOptions.grace]
    return options
  }

  private static func workerBesideThis() -> String {
    let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    let folder = URL(fileURLWithPath: own ?? CommandLine.arguments[0]).deletingLastPathComponent()
    return folder.appending(path: "llmos-training-worker").path
  }

  private static func openStore(
    in folder: String,
    _ configuration: Configuration
  ) async throws -> JobStore {
    do {
      try FileManager.default.createDirectory(
        atPath: folder,
        withIntermediateDirectories: true,
        attributes: [.posixPermissions: 0o700]
      )
    } catch {
      throw configuration.error(TrainingOptions.directory, "cannot be made: \(error)")
    }
    let path = URL(fileURLWithPath: folder).deletingLastPathComponent()
      .appending(path: "jobs.sqlite").path
    return try await JobStore.open(path: path)
  }
}

/// The supervisor as a part of the service.
private struct Supervision: Service {
  let supervisor: JobSupervisor

  func run() async throws {
    try await withGracefulShutdownHandler {
      try await supervisor.run()
    } onGracefulShutdown: {
      Task { await supervisor.stop() }
    }
  }
}

/// Keeps the monitor's jobs by state up to date.
private struct JobCounting: Service {
  let store: JobStore
  let monitor: SupervisionMonitor

  func run() async throws {
    await cancelWhenGracefulShutdown {
      let changes = store.stateChanges()
      await count()
      for await _ in changes { await count() }
    }
  }

  /// Leaves the counts as they are when the store cannot be read, which is logged where it matters.
  private func count() async {
    if let counts = try? await store.counts() { monitor.note(jobs: counts) }
  }
}

/// What is logged and counted of the supervisor's work.
private final class SupervisionMonitor: Sendable {
  private struct Counts {
    var running = 0
    /// All outcomes from the start, so that the first one of a kind is an increase.
    var attempts = Dictionary(
      uniqueKeysWithValues: AttemptOutcome.allCases.filter { $0 != .running }
        .map { ($0.rawValue, 0) }
    )
    var jobs: [JobState: Int] = [:]
  }

  private let counts = Mutex(Counts())
  private let logger: Logger

  init(logger: Logger) {
    self.logger = logger
  }

  func register(in metrics: MetricsRegistry) {
    metrics.gauge("llmos_training_jobs_running", help: "Jobs that run.") { [self] in
      Double(counts.withLock { $0.running })
    }
    metrics.gauge("llmos_training_jobs", help: "Jobs by state.", labels: ["state"]) { [self] in
      let jobs = counts.withLock { $0.jobs }
      return JobState.allCases.map { ([$0.rawValue], Double(jobs[$0] ?? 0)) }
    }
    metrics.counter(
      "llmos_training_attempts_total",
      help: "Worker processes that ended since the start, by how.",
      labels: ["outcome"]
    ) { [self] in
      counts.withLock { $0.attempts }.map { ([$0.key], Double($0.value)) }
    }
  }

  func note(jobs: [JobState: Int]) { counts.withLock { $0.jobs = jobs } }

  func note(_ notice: SupervisionNotice) {
    switch notice {
    case .recovered(let job):
      logger.warning("a job was interrupted with the service", metadata: ["job": "\(job)"])
    case .started(let job, let attempt):
      counts.withLock { $0.running += 1 }
      logger.info("started a worker", metadata: ["job": "\(job)", "attempt": "\(attempt)"])
    case .ended(let job, let attempt, let outcome, let state, let message):
      counts.withLock { counts in
        counts.running -= 1
        counts.attempts[outcome, default: 0] += 1
      }
      logger.log(
        level: outcome == "failed" ? .warning : .info,
        "a worker ended",
        metadata: [
          "job": "\(job)", "attempt": "\(attempt)", "outcome": "\(outcome)", "state": "\(state)",
          "message": "\(message)",
        ]
      )
    case .stalled(let message):
      logger.error("the queue of jobs is stuck", metadata: ["error": "\(message)"])
    case .trouble(let job, let message):
      logger.warning("trouble with a job", metadata: ["job": "\(job)", "error": "\(message)"])
    }
  }
}
