package import JobStore
import SystemPackage
import WorkerProtocol

/// Starts a worker process for each job whose turn it is, records what it tells, and decides by how it ended what
/// becomes of the job.
///
/// `run` runs once, until `stop`. The store wakes it: nothing is polled.
package actor JobSupervisor {
  private let store: JobStore
  private let folders: JobFolders
  private let options: SupervisionOptions
  private let report: @Sendable (SupervisionNotice) -> Void
  private var running: [String: StopSignal] = [:]
  private var isStopping = false

  /// A supervisor of the jobs of a store.
  ///
  /// - Parameters:
  ///   - store: the jobs; nobody else starts or ends attempts.
  ///   - options: how they are run.
  ///   - report: called for each event that may be logged.
  package init(
    store: JobStore,
    options: SupervisionOptions,
    report: @escaping @Sendable (SupervisionNotice) -> Void = { _ in }
  ) {
    self.store = store
    self.options = options
    self.report = report
    folders = JobFolders(root: options.folder)
  }

  /// Runs jobs until `stop`, then ends the workers, whose jobs wait for the next start, and returns.
  ///
  /// - Throws: if the store fails; the workers are ended then, too.
  package func run() async throws {
    try await recover()
    try await withThrowingDiscardingTaskGroup { group in
      let changes = store.queueChanges()
      store.wakeQueue()
      var timer: Task<Void, any Error>?
      defer { timer?.cancel() }
      for await _ in changes {
        guard !isStopping else { break }
        while !isStopping, running.count < options.jobsMax, let job = try await startNext() {
          let signal = StopSignal()
          running[job.id] = signal
          if isStopping { signal.request(.shutdown) }
          group.addTask { await self.work(job, signal) }
        }
        timer?.cancel()
        timer = try await timerForNext()
      }
    }
  }

  /// Ends the workers and makes `run` return.
  package func stop() {
    isStopping = true
    for signal in running.values { signal.request(.shutdown) }
    store.wakeQueue()
  }

  /// Ends a job for its owner and returns it; one that runs ends when its worker has.
  package func cancel(_ id: String) async throws(JobStoreError) -> Job {
    let job = try await store.cancel(id)
    if job.state == .running { running[id]?.request(.cancel) }
    return job
  }

  private func recover() async throws {
    for job in try await store.recover() { report(.recovered(job: job.id)) }
    let open = try await store.openIDs()
    try await folders.sweep(known: store.ids(), open: open)
  }

  /// Marks the first job of the queue as running; nil if none may start now.
  private func startNext() async throws -> Job? {
    while case .ready(let job) = try await store.next() {
      do {
        return try await store.startAttempt(of: job.id)
      } catch  where error.code == .failedPrecondition {
        // Cancelled since it was read: on to the next one.
      }
    }
    return nil
  }

  /// A timer for the first job that waits for its next attempt, while there is a place for it.
  private func timerForNext() async throws -> Task<Void, any Error>? {
    guard running.count < options.jobsMax,
      case .waiting(let time) = try await store.next()
    else { return nil }
    let wait = Duration.milliseconds(max(1, time - store.time))
    return Task { [store] in
      try await Task.sleep(for: wait)
      store.wakeQueue()
    }
  }

  /// One attempt of a job, from its start to what follows from its end.
  private func work(_ job: Job, _ signal: StopSignal) async {
    let attempt = job.attempts.last?.number ?? 1
    report(.started(job: job.id, attempt: attempt))
    // Asked for between the start and now.
    if let now = try? await store.job(job.id), now.isCancelRequested { signal.request(.cancel) }
    let end: JobStore.AttemptEnd
    do {
      end = try await runWorker(job, attempt, signal)
    } catch {
      end = .failed("cannot run \(options.worker): \(error)", isPermanent: false)
    }
    do {
      let delay = options.restartDelay
      let ended = try await store.endAttempt(
        of: job.id,
        end,
        delay: { Int64(delay($0) / .milliseconds(1)) }
      )
      report(
        .ended(
          job: job.id,
          attempt: attempt,
          outcome: ended.attempts.last?.outcome.rawValue ?? "",
          state: ended.state.rawValue,
          message: ended.attempts.last?.message ?? ""
        )
      )
      if ended.state.isFinal { try await folders.discardWork(of: job.id) }
    } catch {
      // The job stays as it was; the next start of the service takes it up again.
      report(.trouble(job: job.id, message: "\(error)"))
    }
    running[job.id] = nil
    store.wakeQueue()
  }

  private func runWorker(
    _ job: Job,
    _ attempt: UInt32,
    _ signal: StopSignal
  ) async throws -> JobStore.AttemptEnd {
    let specification = WorkerSpecification(
      job: job.id,
      attempt: attempt,
      specification: job.specification,
      folder: folders.folder(job.id),
      threads: options.threads,
      memoryBytesMax: options.memoryBytesMax,
      dataAddress: options.dataAddress
    )
    let process = WorkerProcess(
      executable: FilePath(options.worker),
      specificationFile: try await folders.prepare(specification),
      stopGrace: options.stopGrace
    )
    let (store, report) = (store, report)
    let end = try await process.run(stop: signal) { events in
      do {
        try await store.append(events, to: job.id, attempt: attempt)
      } catch {
        // A full disk must not end a training that itself goes on.
        report(.trouble(job: job.id, message: "\(error)"))
      }
    }
    if end.reading.badLines > 0 {
      report(
        .trouble(job: job.id, message: "\(end.reading.badLines) lines of the worker were no events")
      )
    }
    let memory = try await store.job(job.id).progress.memoryBytes
    let reports = try await folders.reports(of: job.id)
    return end.attemptEnd(reason: signal.reason, memoryBytes: memory, reports: reports)
  }
}
