package import JobStore
package import JobSupervision
package import RPC
package import ServiceAPI
package import ServiceKit
import WorkerProtocol

/// The training service: decodes, asks the store and the supervisor, encodes.
package struct TrainingHandlers: TrainingV1.TrainingService {
  /// Events that are read at once for a watcher.
  static let watchPageEvents = 256
  /// Jobs of a page when the caller does not say.
  static let pageSizeDefault = 50
  /// Jobs whose metrics one call compares.
  static let comparedJobsMax = 8
  /// Points of a series when the caller does not say, and the most.
  static let (pointsDefault, pointsMax) = (200, 2_000)

  private let store: JobStore
  private let supervisor: JobSupervisor
  private let folders: JobFolders
  private let admission: JobAdmission
  private let settings: TaskSettings
  private let health: HealthRegistry

  /// Handlers of one store; watching ends when `health` is draining.
  package init(
    store: JobStore,
    supervisor: JobSupervisor,
    folders: JobFolders,
    admission: JobAdmission,
    settings: TaskSettings,
    health: HealthRegistry
  ) {
    self.store = store
    self.supervisor = supervisor
    self.folders = folders
    self.admission = admission
    self.settings = settings
    self.health = health
  }

  /// Checks a job and puts it into the queue.
  package func createJob(
    _ request: TrainingV1.CreateJobRequest,
    context: ServerContext
  ) async throws -> TrainingV1.Job {
    let asked = try admission.checkForm(request)
    let key = request.idempotencyKey.isEmpty ? nil : request.idempotencyKey
    return try await answer {
      // The names as they were asked for: the same request means the same job after a newer version has come, too.
      let spelling = String(decoding: try WorkerJSON.encode(asked), as: UTF8.self)
      if let key, let job = try await store.job(withKey: key, request: spelling) {
        return try await message(job)
      }
      let creation = try await store.create(admission.pin(asked), key: key, request: spelling)
      if !creation.forgotten.isEmpty { try await folders.remove(creation.forgotten) }
      return try await message(creation.job)
    }
  }

  /// A job as it is now.
  package func getJob(
    _ request: TrainingV1.GetJobRequest,
    context: ServerContext
  ) async throws -> TrainingV1.Job {
    try await answer { try await message(store.job(request.id)) }
  }

  /// Jobs, the newest first.
  package func listJobs(
    _ request: TrainingV1.ListJobsRequest,
    context: ServerContext
  ) async throws -> TrainingV1.ListJobsResponse {
    var states: Set<JobState> = []
    for state in request.states {
      guard let state = JobState(state) else {
        throw RPCError(.invalidArgument, "states has \(state), which is no state of a job")
      }
      states.insert(state)
    }
    var before: Int64?
    if !request.pageToken.isEmpty {
      guard let number = Int64(request.pageToken) else {
        throw RPCError(.invalidArgument, "page_token is not one that ListJobs has returned")
      }
      before = number
    }
    // What the store would cut it to, so that a full page is known as one.
    let size = min(
      request.pageSize == 0 ? Self.pageSizeDefault : Int(request.pageSize),
      store.limits.pageSizeMax
    )
    return try await answer {
      let jobs = try await store.jobs(
        in: states,
        model: request.model.isEmpty ? nil : request.model,
        count: size,
        before: before
      )
      var response = TrainingV1.ListJobsResponse()
      for job in jobs { response.jobs.append(try await message(job)) }
      if jobs.count == size, let last = jobs.last { response.nextPageToken = "\(last.number)" }
      return response
    }
  }

  /// What has happened to a job and what happens, until it has ended.
  package func watchJob(
    _ request: TrainingV1.WatchJobRequest,
    context: ServerContext,
    responses: ResponseWriter<TrainingV1.JobEvent>
  ) async throws {
    let ended = try await withThrowingTaskGroup(of: Bool.self) { group in
      group.addTask {
        try await send(eventsOf: request.id, after: request.afterCursor, to: responses)
        return true
      }
      if let changes = health.watch("") {
        group.addTask {
          // Ends when the service drains: a watcher must not hold up its shutdown.
          for await _ in changes {}
          return false
        }
      }
      defer { group.cancelAll() }
      return try await group.next() ?? true
    }
    guard ended || Task.isCancelled else {
      throw RPCError(
        .unavailable,
        "the training service stops; watch again after the cursor of the last event"
      )
    }
  }

  private func send(
    eventsOf id: String,
    after cursor: UInt64,
    to responses: ResponseWriter<TrainingV1.JobEvent>
  ) async throws {
    // Before the first read, so that no change between two reads is missed.
    var changes = store.changes(of: id).makeAsyncIterator()
    var cursor = cursor
    while true {
      let page = try await answer {
        try await store.events(of: id, after: cursor, count: Self.watchPageEvents)
      }
      for event in page.events {
        try await responses.write(TrainingV1.JobEvent(event))
        cursor = event.cursor
      }
      if page.events.count == Self.watchPageEvents { continue }
      if page.state.isFinal { return }
      guard await changes.next() != nil else { throw CancellationError() }
    }
  }

  /// Asks a job to end.
  package func cancelJob(
    _ request: TrainingV1.CancelJobRequest,
    context: ServerContext
  ) async throws -> TrainingV1.Job {
    try await answer { try await message(supervisor.cancel(request.id)) }
  }

  /// The metrics of jobs over their steps.
  package func getMetrics(
    _ request: TrainingV1.GetMetricsRequest,
    context: ServerContext
  ) async throws -> TrainingV1.GetMetricsResponse {
    guard (1...Self.comparedJobsMax).contains(request.ids.count) else {
      throw RPCError(.invalidArgument, "ids must be 1 to \(Self.comparedJobsMax)")
    }
    let points = request.pointsMax == 0 ? Self.pointsDefault : Int(request.pointsMax)
    guard (2...Self.pointsMax).contains(points) else {
      throw RPCError(.invalidArgument, "points_max must be 2 to \(Self.pointsMax)")
    }
    return try await answer {
      var response = TrainingV1.GetMetricsResponse()
      for id in request.ids {
        let series = try await store.series(of: id, names: Set(request.names), pointsMax: points)
        response.series += series.map(TrainingV1.MetricSeries.init)
      }
      return response
    }
  }

  /// A report of a job that succeeded.
  package func getReport(
    _ request: TrainingV1.GetReportRequest,
    context: ServerContext
  ) async throws -> TrainingV1.Report {
    try await answer {
      let job = try await store.job(request.id)
      guard job.reports.contains(request.name),
        let text = try await folders.report(request.name, of: job.id)
      else {
        let known = job.reports.joined(separator: ", ")
        throw RPCError(
          .notFound,
          "\(job.id) has no such report; it has \(known.isEmpty ? "none" : known)"
        )
      }
      var report = TrainingV1.Report()
      report.name = request.name
      report.text = text
      return report
    }
  }

  /// The settings a task takes.
  package func listSettings(
    _ request: TrainingV1.ListSettingsRequest,
    context: ServerContext
  ) async throws -> TrainingV1.ListSettingsResponse {
    guard let task = JobSpecification.Task(request.task) else {
      throw RPCError(.invalidArgument, "task must be NER, CLASSIFY or CHAT")
    }
    var response = TrainingV1.ListSettingsResponse()
    response.settings = settings.list(task).map(TrainingV1.Setting.init)
    return response
  }

  private func message(_ job: Job) async throws -> TrainingV1.Job {
    var message = TrainingV1.Job(job)
    if job.state == .queued {
      message.queuePosition = UInt32(clamping: try await store.queuePosition(of: job))
    }
    return message
  }

  private func answer<Response>(
    _ body: () async throws -> Response
  ) async throws -> Response {
    do {
      return try await body()
    } catch let error as JobStoreError {
      throw RPCError(error)
    }
  }
}
