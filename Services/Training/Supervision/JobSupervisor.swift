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
  /// The waits of jobs whose end could not be stored yet.
  private var pauses: [String: Task<Void, any Error>] = [:]
  /// Failures of the queue in a row.
  private var queueFailures = 0
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
  /// - Throws: if the store fails at the start; when it fails later, it is tried again.
  package func run() async throws {
    try await recover()
    await withDiscardingTaskGroup { group in
      let changes = store.queueChanges()
      store.wakeQueue()
      var timer: Task<Void, any Error>?
      defer { timer?.cancel() }
      for await _ in changes {
        guard !isStopping else { break }
        timer?.cancel()
        do {
          while !isStopping, running.count < options.jobsMax,
            let (job, signal) = try await startNext()
          {
            group.addTask { await self.work(job, signal) }
          }
          timer = try await timerForNext()
          queueFailures = 0
        } catch {
          queueFailures += 1
          report(.stalled(message: "\(error)"))
          timer = wake(after: options.hostDelay(queueFailures))
        }
      }
    }
  }

  /// Ends the workers and makes `run` return.
  package func stop() {
    isStopping = true
    for signal in running.values { signal.request(.shutdown) }
    for pause in pauses.values { pause.cancel() }
    store.wakeQueue()
  }

  /// Ends a job for its owner and returns it; one that runs ends when its worker has.
  package func cancel(_ id: String) async throws(JobStoreError) -> Job {
    let job = try await store.cancel(id)
    guard job.state == .running else { return job }
    if let signal = running[id] {
      signal.request(.cancel)
      pauses[id]?.cancel()
      return job
    }
    // No worker of ours: nobody else would end it.
    do {
      return try await store.endAttempt(
        of: id,
        .cancelled,
        delay: { _ in 0 },
        hostDelay: { _ in 0 }
      )
    } catch {
      // It has ended meanwhile.
      let job = try await store.job(id)
      guard job.state != .running else { throw error }
      return job
    }
  }

  private func recover() async throws {
    for job in try await store.recover() { report(.recovered(job: job.id)) }
    let open = try await store.openIDs()
    try await folders.sweep(known: store.ids(), open: open)
  }

  /// Marks the first job of the queue as running; nil if none may start now.
  private func startNext() async throws(JobStoreError) -> (Job, StopSignal)? {
    while case .ready(let job) = try await store.next() {
      // Before the job is said to run, so that one who cancels it then finds whom to tell.
      let signal = StopSignal()
      running[job.id] = signal
      if isStopping { signal.request(.shutdown) }
      do {
        return (try await store.startAttempt(of: job.id), signal)
      } catch {
        leave(job.id, signal)
        // Cancelled since it was read: on to the next one.
        guard try await store.job(job.id).state != .queued else { throw error }
      }
    }
    return nil
  }

  /// Gives a job's place back, unless its next attempt has it already.
  private func leave(_ id: String, _ signal: StopSignal) {
    if running[id] === signal { running[id] = nil }
  }

  /// A timer for the first job that waits for its next attempt, while there is a place for it.
  private func timerForNext() async throws(JobStoreError) -> Task<Void, any Error>? {
    guard running.count < options.jobsMax,
      case .waiting(let time) = try await store.next()
    else { return nil }
    return wake(after: .milliseconds(max(1, time - store.time)))
  }

  private func wake(after delay: Duration) -> Task<Void, any Error> {
    Task { [store] in
      try await Task.sleep(for: delay)
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
      end = .unavailable("cannot run \(options.worker): \(error)")
    }
    let ended = await keep(end, of: job.id)
    report(
      .ended(
        job: job.id,
        attempt: attempt,
        outcome: end.outcome.rawValue,
        state: ended?.state.rawValue ?? "",
        message: ended?.attempts.last?.message ?? end.message
      )
    )
    if ended?.state.isFinal == true {
      do {
        try await folders.discardWork(of: job.id)
      } catch {
        report(.trouble(job: job.id, message: "\(error)"))
      }
    }
    leave(job.id, signal)
    store.wakeQueue()
  }

  /// Stores how an attempt ended, again and again while the store cannot keep it: nobody else knows it.
  ///
  /// - Returns: the job; nil if it does not run any more, or the service stops first, whose next start then finds
  ///   the job as interrupted.
  private func keep(_ end: JobStore.AttemptEnd, of id: String) async -> Job? {
    let (delay, hostDelay) = (options.restartDelay, options.hostDelay)
    var failures = 0
    while true {
      do throws(JobStoreError) {
        return try await store.endAttempt(
          of: id,
          end,
          delay: { Int64(delay($0) / .milliseconds(1)) },
          hostDelay: { Int64(hostDelay($0) / .milliseconds(1)) }
        )
      } catch {
        report(.trouble(job: id, message: "\(error)"))
        let now = try? await store.job(id)
        let isOver = error.code == .notFound || now.map { $0.state != .running } ?? false
        guard !isOver, !isStopping, !Task.isCancelled else { return nil }
        failures += 1
      }
      let wait = hostDelay(failures)
      let pause = Task { try await Task.sleep(for: wait) }
      pauses[id] = pause
      _ = await pause.result
      pauses[id] = nil
    }
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
    // The worker's result stands, whatever cannot be read now.
    let memory = (try? await store.job(job.id))?.progress.memoryBytes ?? 0
    var reports: [String] = []
    do {
      reports = try await folders.reports(of: job.id)
    } catch {
      report(.trouble(job: job.id, message: "\(error)"))
    }
    return end.attemptEnd(reason: signal.reason, memoryBytes: memory, reports: reports)
  }
}
