import RPC
import ServiceAPI
import Synchronization

/// Datasets in memory: each line is a row, one that does not begin with `{` is a bad one.
final class FakeDatasets: DatasetsV1.DatasetsService {
  struct Dataset {
    var version: DatasetsV1.DatasetVersion
    var rows: [String: [UInt8]]
  }

  let stored = Mutex<[String: Dataset]>([:])
  /// What imports were asked for.
  let imports = Mutex<[DatasetsV1.ImportOptions]>([])
  /// What imports are refused with.
  let refusal = Mutex<RPCError?>(nil)
  /// Imports that ended without a result.
  let abandoned = Mutex(0)

  /// The rows of a split.
  func rows(_ name: String, _ split: String) -> String? {
    stored.withLock { $0[name]?.rows[split] }.map { String(decoding: $0, as: UTF8.self) }
  }

  func importDataset(
    _ requests: RequestStream<DatasetsV1.ImportDatasetRequest>,
    context: ServerContext,
    responses: ResponseWriter<DatasetsV1.ImportDatasetResponse>
  ) async throws {
    if let refusal = refusal.withLock({ $0 }) { throw refusal }
    var options = DatasetsV1.ImportOptions()
    var files: [String] = []
    var rows: [String: [UInt8]] = [:]
    var split = "train"
    do {
      for try await request in requests {
        switch request.part {
        case .options(let given):
          options = given
          imports.withLock { $0.append(given) }
        case .file(let file):
          files.append(file.name)
          split = file.split.isEmpty ? "train" : file.split
          guard file.format == .jsonl else { throw RPCError(.invalidArgument, "not JSONL") }
        case .data(let bytes): rows[split, default: []] += bytes
        case nil: break
        }
      }
    } catch {
      abandoned.withLock { $0 += 1 }
      throw error
    }
    var result = DatasetsV1.ImportResult()
    let lines = rows.values.flatMap { $0.split(separator: 10) }
    for (index, line) in lines.enumerated() where line.first != UInt8(ascii: "{") {
      var row = DatasetsV1.BadRow()
      row.line = UInt64(index + 1)
      row.reason = "is no JSON object"
      result.badRows.append(row)
    }
    result.badRowsTotal = UInt64(result.badRows.count)
    if result.badRows.isEmpty {
      var version = DatasetsV1.DatasetVersion()
      version.name = options.name
      version.version = 1
      version.digest = String(repeating: "d", count: 64)
      version.kind = .sequenceClassification
      version.rows = UInt64(lines.count)
      version.origin = "import \(files.joined(separator: " "))"
      version.splits = rows.sorted { $0.key < $1.key }.map { name, bytes in
        var split = DatasetsV1.Split()
        split.name = name
        split.bytes = UInt64(bytes.count)
        return split
      }
      stored.withLock { stored in
        version.createdAtMs = Int64(1_700_000_000_000 + stored.count * 1000)
        stored[options.name] = Dataset(version: version, rows: rows)
      }
      result.version = version
    }
    var response = DatasetsV1.ImportDatasetResponse()
    response.part = .result(result)
    try await responses.write(response)
    if result.version == nil { throw RPCError(.failedPrecondition, "bad rows") }
  }

  func listDatasets(
    _ request: DatasetsV1.ListDatasetsRequest,
    context: ServerContext
  ) async throws -> DatasetsV1.ListDatasetsResponse {
    var response = DatasetsV1.ListDatasetsResponse()
    response.versions = stored.withLock { $0.values.map(\.version) }
    return response
  }

  func getDataset(
    _ request: DatasetsV1.GetDatasetRequest,
    context: ServerContext
  ) async throws -> DatasetsV1.DatasetVersion {
    let name = String(request.dataset.prefix { $0 != "@" })
    guard let found = stored.withLock({ $0[name]?.version }) else {
      throw RPCError(.notFound, "no dataset \(name)")
    }
    return found
  }

  func read(
    _ request: DatasetsV1.ReadRequest,
    context: ServerContext,
    responses: ResponseWriter<DatasetsV1.ReadResponse>
  ) async throws {
    let name = String(request.dataset.prefix { $0 != "@" })
    let rows = stored.withLock { $0[name]?.rows[request.split] } ?? []
    for line in rows.split(separator: 10) {
      var response = DatasetsV1.ReadResponse()
      response.rows = Array(line) + [10]
      try await responses.write(response)
    }
  }

  func deleteDataset(
    _ request: DatasetsV1.DeleteDatasetRequest,
    context: ServerContext
  ) async throws -> DatasetsV1.DeleteDatasetResponse {
    let name = String(request.dataset.prefix { $0 != "@" })
    _ = stored.withLock { $0.removeValue(forKey: name) }
    return .init()
  }

  func splitDataset(
    _ request: DatasetsV1.SplitDatasetRequest,
    context: ServerContext
  ) async throws -> DatasetsV1.DatasetVersion { throw RPCError(.unimplemented, "") }

  func diffDatasets(
    _ request: DatasetsV1.DiffDatasetsRequest,
    context: ServerContext
  ) async throws -> DatasetsV1.DiffDatasetsResponse { throw RPCError(.unimplemented, "") }
}

/// Training jobs that are what a test makes of them.
final class FakeTraining: TrainingV1.TrainingService {
  struct State {
    /// The newest last.
    var jobs: [TrainingV1.Job] = []
    var keys: [String] = []
    var events: [TrainingV1.JobEvent] = []
  }

  let state = Mutex(State())
  /// What creations are refused with.
  let refusal = Mutex<RPCError?>(nil)
  /// The newest event that jobs say they have, if it is not that of `state`.
  let cursor = Mutex<UInt64?>(nil)
  /// Watches that are open.
  let watched = Mutex(0)

  /// An event of a step.
  static func step(_ cursor: UInt64) -> TrainingV1.JobEvent {
    var step = TrainingV1.Step()
    step.step = cursor
    step.loss = 1 / Double(cursor)
    var event = TrainingV1.JobEvent()
    event.cursor = cursor
    event.timeMs = Int64(cursor) * 1000
    event.event = .step(step)
    return event
  }

  func createJob(
    _ request: TrainingV1.CreateJobRequest,
    context: ServerContext
  ) async throws -> TrainingV1.Job {
    if let refusal = refusal.withLock({ $0 }) { throw refusal }
    return state.withLock { state in
      var job = TrainingV1.Job()
      job.id = "job-\(state.jobs.count + 1)"
      job.specification = request.specification
      job.state = .queued
      job.createdAtMs = 1_700_000_000_000
      state.jobs.append(job)
      state.keys.append(request.idempotencyKey)
      return job
    }
  }

  private func job(_ id: String) throws -> TrainingV1.Job {
    guard let job = state.withLock({ $0.jobs.first { $0.id == id } }) else {
      throw RPCError(.notFound, "no job \(id)")
    }
    return job
  }

  func getJob(
    _ request: TrainingV1.GetJobRequest,
    context: ServerContext
  ) async throws -> TrainingV1.Job {
    var job = try job(request.id)
    job.cursor = cursor.withLock { $0 } ?? state.withLock { $0.events.last?.cursor ?? 0 }
    return job
  }

  func cancelJob(
    _ request: TrainingV1.CancelJobRequest,
    context: ServerContext
  ) async throws -> TrainingV1.Job {
    var job = try job(request.id)
    job.state = .cancelled
    state.withLock { state in
      if let index = state.jobs.firstIndex(where: { $0.id == job.id }) { state.jobs[index] = job }
    }
    return job
  }

  func listJobs(
    _ request: TrainingV1.ListJobsRequest,
    context: ServerContext
  ) async throws -> TrainingV1.ListJobsResponse {
    let newest = Array(state.withLock { $0.jobs }.reversed())
    let start = Int(request.pageToken) ?? 0
    let end = min(newest.count, start + Int(request.pageSize))
    var response = TrainingV1.ListJobsResponse()
    response.jobs = Array(newest[start..<end])
    if end < newest.count { response.nextPageToken = "\(end)" }
    return response
  }

  /// All events; the stream of a job that runs goes on until the caller ends it.
  func watchJob(
    _ request: TrainingV1.WatchJobRequest,
    context: ServerContext,
    responses: ResponseWriter<TrainingV1.JobEvent>
  ) async throws {
    watched.withLock { $0 += 1 }
    Events.post()
    defer {
      watched.withLock { $0 -= 1 }
      Events.post()
    }
    let job = try job(request.id)
    for event in state.withLock({ $0.events }) where event.cursor > request.afterCursor {
      try await responses.write(event)
    }
    guard job.state == .running else { return }
    let (stream, continuation) = AsyncStream.makeStream(of: Never.self)
    for await _ in stream {}
    continuation.finish()
  }

  func listSettings(
    _ request: TrainingV1.ListSettingsRequest,
    context: ServerContext
  ) async throws -> TrainingV1.ListSettingsResponse { throw RPCError(.unimplemented, "") }

  func getMetrics(
    _ request: TrainingV1.GetMetricsRequest,
    context: ServerContext
  ) async throws -> TrainingV1.GetMetricsResponse { throw RPCError(.unimplemented, "") }

  func getReport(
    _ request: TrainingV1.GetReportRequest,
    context: ServerContext
  ) async throws -> TrainingV1.Report { throw RPCError(.unimplemented, "") }
}
