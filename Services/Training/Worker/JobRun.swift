import Files
import Foundation
import ModelAccess
import NIOCore
import RPC
import ServiceAPI
import Trainer
import WorkerProtocol
import WorkerTransfer

/// One attempt of a job: bring the data, train, register.
struct JobRun: Sendable {
  private let worker: WorkerSpecification
  private let task: TrainingTask
  private let configuration: TrainingConfiguration
  private let channel: RPCChannel
  private let policy: TransferRetries

  private var job: JobSpecification { worker.specification }
  private var dataFolder: String { "\(worker.workFolder)/data" }

  /// Checks the settings and connects to the data-management service when it is first needed.
  init(_ worker: WorkerSpecification, group: any EventLoopGroup) throws {
    self.worker = worker
    guard let task = TrainingTask(rawValue: worker.specification.task.rawValue) else {
      throw TrainerError(.invalidConfiguration, "task \(worker.specification.task) is not known")
    }
    self.task = task
    configuration = try TrainingConfiguration(
      task: task,
      settings: worker.specification.settings
    )
    guard let colon = worker.dataAddress.lastIndex(of: ":"),
      let port = Int(worker.dataAddress[worker.dataAddress.index(after: colon)...])
    else {
      throw TrainerError(.internal, "the data address \(worker.dataAddress) is not host:port")
    }
    let host = worker.dataAddress[..<colon].filter { $0 != "[" && $0 != "]" }
    channel = RPCChannel(host: host, port: port, group: group)
    var policy = TransferRetries()
    policy.isCancelled = { WorkerHost.isStopRequested }
    self.policy = policy
  }

  /// Runs to the registered result.
  func run() async throws -> WorkerEvent.Finished {
    let dataset = try await dataset()
    let base = try await baseModel()
    let input = TrainingInput(
      train: try await rows(of: job.trainSplit),
      dev: try await rows(ofOptional: job.devSplit),
      test: try await rows(ofOptional: job.testSplit),
      baseModel: base?.path
    )
    let result = try await train(input)
    try keepReports(result)
    let split = job.testSplit == nil ? "dev" : "test"
    let metrics = Dictionary(
      uniqueKeysWithValues: result.metrics.filter(\.value.isFinite)
        .map { ("\(split).\($0.key)", $0.value) }
    )
    let version = try await ModelUpload(client: .init(channel), policy: policy).register(
      result.modelFolder,
      as: try registration(metrics, dataset, base)
    )
    return .init(model: "\(version.name)@\(version.version)", metrics: metrics)
  }

  // MARK: - Before

  private func dataset() async throws -> DatasetsV1.DatasetVersion {
    var request = DatasetsV1.GetDatasetRequest()
    request.dataset = job.dataset
    return try await policy.call("find \(job.dataset)") { [request] options in
      try await DatasetsV1.DatasetsClient(channel).getDataset(request, options: options)
    }
  }

  private func baseModel() async throws -> RegistryV1.ModelVersion? {
    guard let name = job.baseModel else { return nil }
    var request = RegistryV1.ResolveModelRequest()
    request.model = name
    let version = try await policy.call("find \(name)") { [request] options in
      try await RegistryV1.RegistryClient(channel).resolveModel(request, options: options)
    }
    do {
      try ModelFiles.verify(version)
    } catch {
      throw TransferError(.refused, error.message, cause: error)
    }
    return version
  }

  /// The rows of a split, which an earlier attempt may have brought already.
  private func rows(of split: String) async throws -> JSONLinesFile {
    try FileManager.default.createDirectory(
      atPath: dataFolder,
      withIntermediateDirectories: true
    )
    let path = "\(dataFolder)/\(split).jsonl"
    if !FileManager.default.fileExists(atPath: path) {
      let download = DatasetDownload(client: .init(channel), policy: policy)
      _ = try await download.download(split, of: job.dataset, to: path)
    }
    return JSONLinesFile(path: path)
  }

  private func rows(ofOptional split: String?) async throws -> (any RowSource)? {
    guard let split else { return nil }
    return try await rows(of: split)
  }

  // MARK: - Training

  /// Trains on a thread of its own, which it holds for as long as training takes.
  private func train(_ input: TrainingInput) async throws -> TrainingResult {
    let stackBytes = 16 << 20
    return try await withCheckedThrowingContinuation { continuation in
      let thread = Thread {
        continuation.resume(with: Result { try trainBlocking(input) })
      }
      thread.stackSize = stackBytes
      thread.start()
    }
  }

  private func trainBlocking(_ input: TrainingInput) throws -> TrainingResult {
    let run = try TrainingRun(
      task: task,
      configuration: configuration,
      input: input,
      workFolder: worker.workFolder,
      threads: worker.threads,
      memoryLimit: worker.memoryBytesMax > 0 ? Int(clamping: worker.memoryBytesMax) : nil
    )
    return try run.run(
      onEvent: { event in
        // Only fails if the event cannot be spelled as JSON, which every event can.
        try? WorkerHost.tell(WorkerEvent(event))
      },
      isCancelled: { WorkerHost.isStopRequested }
    )
  }

  // MARK: - After

  /// Copies the reports to where they stay when the work folder goes.
  private func keepReports(_ result: TrainingResult) throws {
    let manager = FileManager.default
    try manager.createDirectory(
      atPath: worker.reportsFolder,
      withIntermediateDirectories: true
    )
    for (name, path) in result.reports {
      let text = try Data(contentsOf: URL(filePath: path))
      try AtomicFile<WorkerProtocolError>.write(text, to: "\(worker.reportsFolder)/\(name)")
    }
  }

  private func registration(
    _ metrics: [String: Double],
    _ dataset: DatasetsV1.DatasetVersion,
    _ base: RegistryV1.ModelVersion?
  ) throws -> RegistryV1.RegisterVersionStart {
    var lineage = RegistryV1.Lineage()
    lineage.dataset = job.dataset
    lineage.datasetDigest = dataset.digest
    lineage.jobID = worker.job
    lineage.baseModel = job.baseModel ?? ""
    lineage.baseModelDigest = base?.digest ?? ""
    lineage.configurationJSON = String(
      decoding: try WorkerJSON.encode(
        Configuration(
          task: job.task.rawValue,
          splits: [job.trainSplit, job.devSplit, job.testSplit].compactMap { $0 },
          threads: worker.threads,
          settings: Dictionary(
            uniqueKeysWithValues: configuration.values(task: task).map { ($0.name, $0.value) }
          )
        )
      ),
      as: UTF8.self
    )
    var start = RegistryV1.RegisterVersionStart()
    start.name = job.model
    start.lineage = lineage
    start.metrics = metrics.sorted { $0.key < $1.key }.map { name, value in
      var metric = RegistryV1.Metric()
      metric.name = name
      metric.value = value
      return metric
    }
    return start
  }

  /// What decides the weights, beside data and base model.
  private struct Configuration: Encodable {
    var task: String
    var splits: [String]
    var threads: Int
    var settings: [String: String]
  }
}

extension WorkerEvent {
  /// The trainer's event as the service is told it.
  init(_ event: TrainingEvent) {
    switch event {
    case .prepared(let rows, let tokens, let steps, let estimate):
      self = .prepared(
        .init(
          rows: UInt64(clamping: rows),
          tokens: UInt64(clamping: tokens),
          steps: UInt64(clamping: steps),
          memoryBytes: UInt64(clamping: estimate.total)
        )
      )
    case .notice(let text): self = .log(.init(level: .warning, message: text))
    case .resumed(let step, _):
      self = .log(.init(level: .info, message: "goes on from the checkpoint of step \(step)"))
    case .step(let step, let epoch, let loss, let rate, let norm, let tokensPerSecond):
      self = .step(
        .init(
          step: UInt64(clamping: step),
          epoch: epoch,
          loss: loss,
          learningRate: rate,
          gradientNorm: norm,
          tokensPerSecond: tokensPerSecond
        )
      )
    case .evaluated(let step, let epoch, let split, let metrics):
      self = .evaluation(
        .init(
          step: UInt64(clamping: step),
          epoch: epoch,
          split: split.rawValue,
          metrics: metrics
        )
      )
    case .checkpointed(let step): self = .checkpoint(.init(step: UInt64(clamping: step)))
    case .stoppedEarly(let step, let best):
      self = .log(
        .init(level: .info, message: "stopped early at step \(step): nothing better since \(best)")
      )
    }
  }
}
