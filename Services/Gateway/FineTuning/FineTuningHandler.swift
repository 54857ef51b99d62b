import HTTPTypes
import Hummingbird
import JSON
import NIOCore
import RPC
import ServiceAPI
import ServiceKit

/// `/v1/fine_tuning/jobs`: OpenAI's fine-tuning jobs, each a job of the training service under the same id.
struct FineTuningHandler: Sendable {
  /// Jobs of one page, as OpenAI has them.
  static let pageDefault = 20
  static let pageMax = 100
  /// Pages of the training service that are looked through for the job that a page starts after.
  static let soughtPagesMax = 50
  /// Longest idempotency key, in bytes.
  static let keyBytesMax = 128

  let backends: Backends
  let limits: RequestLimits

  // MARK: - Create

  /// `POST /v1/fine_tuning/jobs`.
  func create(_ request: Request, _ context: HTTPContext) async throws -> Response {
    let key = request.headers[.idempotencyKey] ?? ""
    guard key.utf8.count <= Self.keyBytesMax else {
      throw GatewayError(
        .invalidRequest,
        "The header Idempotency-Key is longer than \(Self.keyBytesMax) bytes."
      )
    }
    let tuning = try FineTuningRequest(
      json: try await request.json(on: context.channel, limits: limits.body)
    )
    return try await Deadline.$current.withValue(.after(limits.timeout)) {
      try await ClientWatch.run(
        on: context.channel,
        timeout: limits.watchTimeout,
        timeoutError: limits.timeoutError
      ) {
        var creation = TrainingV1.CreateJobRequest()
        creation.idempotencyKey = key
        creation.specification = try await specification(tuning)
        do throws(RPCError) {
          return Self.json(
            try await backends.training.createJob(creation, options: backends.callOptions)
          )
        } catch {
          throw Self.failure(error)
        }
      }
    }
  }

  private func specification(
    _ tuning: FineTuningRequest
  ) async throws -> TrainingV1.JobSpecification {
    let (dataset, kind) = try await dataset(tuning)
    var specification = TrainingV1.JobSpecification()
    guard let task = tuning.task ?? .init(kind) else {
      throw GatewayError.invalid(
        "training_file",
        "invalid_value",
        "The rows of '\(tuning.trainingFile.quotable)' say no task: name one in 'llmos.task'."
      )
    }
    specification.task = task.message
    specification.dataset = dataset
    specification.baseModel = tuning.isFromScratch ? "" : tuning.model
    specification.model = try Self.resultName(tuning)
    specification.settings = tuning.settings
    func set(_ name: String, _ value: String?) throws(GatewayError) {
      guard let value else { return }
      guard specification.settings[name] == nil else {
        throw .invalid(
          "llmos.settings.\(name)",
          "invalid_parameter_combination",
          "'llmos.settings.\(name)' is said twice: a field of the request means the same."
        )
      }
      specification.settings[name] = value
    }
    try set("epochs", tuning.epochs.map { "\($0)" })
    try set("batchSize", tuning.batchSize.map { "\($0)" })
    try set("seed", tuning.seed.map { "\($0)" })
    try set("learningRateMultiplier", tuning.learningRateMultiplier.map { "\($0)" })
    return specification
  }

  /// The dataset that a request's files mean, with its version, and what its rows are.
  private func dataset(
    _ tuning: FineTuningRequest
  ) async throws -> (String, DatasetsV1.RowKind) {
    let training = try await version(of: tuning.trainingFile, "training_file")
    guard let file = tuning.validationFile else {
      return ("\(training.name)@\(training.version)", training.kind)
    }
    let validation = try await version(of: file, "validation_file")
    guard validation.kind == training.kind else {
      throw GatewayError.invalid(
        "validation_file",
        "invalid_value",
        "Invalid 'validation_file': its rows are of another kind than those of the training file."
      )
    }
    guard (validation.tagScheme == .plain) == (training.tagScheme == .plain) else {
      throw GatewayError.invalid(
        "validation_file",
        "invalid_value",
        "Invalid 'validation_file': its tags are of another scheme than those of the training file."
      )
    }
    let joined = try await JoinedDataset(backends: backends).make(training, validation)
    return ("\(joined.name)@\(joined.version)", joined.kind)
  }

  private func version(
    of reference: String,
    _ field: String
  ) async throws(GatewayError) -> DatasetsV1.DatasetVersion {
    var request = DatasetsV1.GetDatasetRequest()
    request.dataset = reference
    do throws(RPCError) {
      return try await backends.datasets.getDataset(request, options: backends.callOptions)
    } catch {
      switch error.code {
      case .notFound, .invalidArgument:
        throw .invalid(
          field,
          "invalid_value",
          "Invalid '\(field)': there is no file or dataset '\(reference.quotable)'."
        )
      default: throw GatewayError(error, from: "data-management")
      }
    }
  }

  /// The model's name without its version, and the suffix.
  private static func resultName(_ tuning: FineTuningRequest) throws(GatewayError) -> String {
    if let name = tuning.resultName { return name }
    let base = String(tuning.model.prefix { $0 != "@" })
    if tuning.isFromScratch, tuning.suffix == nil { return base }
    return "\(base)-\(tuning.suffix ?? "ft")"
  }

  // MARK: - One job

  /// `GET /v1/fine_tuning/jobs/{id}`.
  func get(_ id: String) async throws -> Response { Self.json(try await job(id)) }

  /// `POST /v1/fine_tuning/jobs/{id}/cancel`.
  func cancel(_ id: String) async throws -> Response {
    var request = TrainingV1.CancelJobRequest()
    request.id = id
    do throws(RPCError) {
      return Self.json(
        try await backends.training.cancelJob(request, options: backends.callOptions)
      )
    } catch {
      throw Self.failure(error, job: id)
    }
  }

  private func job(_ id: String) async throws(GatewayError) -> TrainingV1.Job {
    var request = TrainingV1.GetJobRequest()
    request.id = id
    do throws(RPCError) {
      return try await backends.training.getJob(request, options: backends.callOptions)
    } catch {
      throw Self.failure(error, job: id)
    }
  }

  // MARK: - Lists

  /// `GET /v1/fine_tuning/jobs`: the newest first.
  func list(_ request: Request) async throws -> Response {
    let query = PageQuery(request)
    try query.refuseUnknown(["after", "limit"])
    let limit = try query.integer("limit", in: 1...Self.pageMax) ?? Self.pageDefault
    let after = try query.text("after")
    var jobs: [TrainingV1.Job] = []
    var isWanted = after == nil
    var page = TrainingV1.ListJobsRequest()
    page.pageSize = UInt32(after == nil ? limit + 1 : Self.pageMax)
    for _ in 0..<Self.soughtPagesMax {
      let response: TrainingV1.ListJobsResponse
      do throws(RPCError) {
        response = try await backends.training.listJobs(page, options: backends.callOptions)
      } catch {
        throw Self.failure(error)
      }
      for job in response.jobs {
        if isWanted { jobs.append(job) }
        if let after, job.id.isSame(after) { isWanted = true }
      }
      guard jobs.count <= limit, !response.nextPageToken.isEmpty else { break }
      page.pageToken = response.nextPageToken
    }
    guard isWanted else {
      throw GatewayError.invalid(
        "after",
        "invalid_value",
        "No such fine-tuning job: '\((after ?? "").quotable)'."
      )
    }
    return .json(
      Page.json(Array(jobs.prefix(limit)), id: \.id, hasMore: jobs.count > limit) {
        FineTuningJob.append($0, to: &$1)
      }
    )
  }

  // MARK: - Answers

  private static func json(_ job: TrainingV1.Job) -> Response {
    var json = JSONText(capacity: 1024)
    FineTuningJob.append(job, to: &json)
    return .json(json.bytes)
  }

  /// Which field of a request a field of the training service's was made from.
  private static let fields = [
    ("specification.dataset", "training_file"), ("specification.train_split", "training_file"),
    ("specification.base_model", "model"), ("specification.model", "suffix"),
    ("specification.settings", "llmos.settings"), ("specification.task", "llmos.task"),
  ]

  static func failure(_ error: RPCError, job: String? = nil) -> GatewayError {
    switch error.code {
    case .notFound where job != nil:
      return GatewayError(
        .notFound,
        "Could not find fine tune: \((job ?? "").quotable)",
        parameter: "fine_tuning_job_id",
        reason: "fine_tune_not_found",
        cause: error
      )
    case .invalidArgument, .notFound, .failedPrecondition, .alreadyExists, .outOfRange:
      let field = fields.first { error.message.hasPrefix($0.0) }
      let words = field.map { "'\($0.1)'\(error.message.dropFirst($0.0.count))" }
      return GatewayError(
        .invalidRequest,
        words ?? error.message,
        parameter: field?.1,
        reason: error.code == .alreadyExists ? "idempotency_key_in_use" : "invalid_value",
        cause: error
      )
    default: return GatewayError(error, from: "training")
    }
  }
}

extension HTTPField.Name {
  fileprivate static var idempotencyKey: HTTPField.Name {
    guard let name = HTTPField.Name("Idempotency-Key") else {
      preconditionFailure("not a header name")
    }
    return name
  }
}
