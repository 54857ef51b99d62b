import Foundation
import JobStore
import JobSupervision
import NIOCore
import NIOPosix
import RPC
import ServiceAPI
import ServiceKit
import Testing
import TrainingService
import WorkerProtocol

/// A training service on a loopback socket, whose worker is the sample and whose data service is a fake.
struct ServedTraining: Sendable {
  let root: String
  let client: TrainingV1.TrainingClient
  let store: JobStore
  let health: HealthRegistry
  let data: FakeDatasets
  /// Ends the data service.
  let stopData: @Sendable () async -> Void

  /// Creates a job of the sample worker.
  func create(
    _ settings: [String: String] = [:],
    key: String = "",
    dataset: String = "entities",
    change: (inout TrainingV1.JobSpecification) -> Void = { _ in }
  ) async throws -> TrainingV1.Job {
    var specification = TrainingV1.JobSpecification()
    specification.task = .ner
    specification.dataset = dataset
    specification.baseModel = "encoder"
    specification.model = "tagger"
    specification.settings = settings
    change(&specification)
    var request = TrainingV1.CreateJobRequest()
    request.idempotencyKey = key
    request.specification = specification
    return try await client.createJob(request)
  }

  func get(_ id: String) async throws -> TrainingV1.Job {
    var request = TrainingV1.GetJobRequest()
    request.id = id
    return try await client.getJob(request)
  }

  func watch(
    _ id: String,
    after cursor: UInt64 = 0
  ) async throws -> ResponseStream<TrainingV1.JobEvent> {
    var request = TrainingV1.WatchJobRequest()
    request.id = id
    request.afterCursor = cursor
    return try await client.watchJob(request)
  }

  func cancel(_ id: String) async throws -> TrainingV1.Job {
    var request = TrainingV1.CancelJobRequest()
    request.id = id
    return try await client.cancelJob(request)
  }
}

/// Runs the body with a service, and ends it.
func withTraining(
  jobsRun: Bool = true,
  _ body: @escaping @Sendable (ServedTraining) async throws -> Void
) async throws {
  let root = FileManager.default.temporaryDirectory.path + "/training-\(UUID().uuidString)"
  try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: root) }
  let data = FakeDatasets()
  var dataRouter = Router()
  dataRouter.register(data)
  dataRouter.register(FakeRegistry())
  let group = MultiThreadedEventLoopGroup.singleton
  let dataServer = RPCServer(
    router: dataRouter,
    configuration: ServerConfiguration(),
    group: group
  )
  let dataPort = try await dataServer.start().port ?? 0
  let dataChannel = RPCChannel(host: "127.0.0.1", port: dataPort, group: group)

  let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
  let worker = URL(filePath: tests).deletingLastPathComponent()
    .appending(path: "TrainingWorkerSample").path
  var options = SupervisionOptions(
    worker: worker,
    folder: "\(root)/jobs",
    jobsMax: 1,
    threads: 1,
    memoryBytesMax: 1 << 30,
    dataAddress: "127.0.0.1:\(dataPort)"
  )
  options.restartDelay = { _ in .milliseconds(1) }
  options.hostDelay = { _ in .milliseconds(1) }
  let store = try JobStore(path: "\(root)/jobs.sqlite")
  let supervisor = JobSupervisor(store: store, options: options)
  let settings = TaskSettings(
    problem: { _, settings in settings["epochs"].map { "epochs is \"\($0)\"; it must be less" } },
    list: { task in
      [.init(name: "epochs", type: "a number", defaultValue: "3", meaning: "for \(task)")]
    }
  )
  let health = HealthRegistry()
  let handlers = TrainingHandlers(
    store: store,
    supervisor: supervisor,
    folders: JobFolders(root: options.folder),
    admission: JobAdmission(
      settings: settings,
      datasets: DatasetsV1.DatasetsClient(dataChannel),
      registry: RegistryV1.RegistryClient(dataChannel)
    ),
    settings: settings,
    health: health
  )
  var router = Router()
  router.register(handlers)
  let server = RPCServer(router: router, configuration: ServerConfiguration(), group: group)
  let channel = RPCChannel(
    host: "127.0.0.1",
    port: try await server.start().port ?? 0,
    group: group
  )
  let served = ServedTraining(
    root: root,
    client: TrainingV1.TrainingClient(channel),
    store: store,
    health: health,
    data: data,
    stopData: { await dataServer.shutdown(grace: .zero) }
  )
  try await withThrowingTaskGroup(of: Void.self) { group in
    if jobsRun { group.addTask { try await supervisor.run() } }
    let result: Result<Void, any Error>
    do {
      result = .success(try await body(served))
    } catch {
      result = .failure(error)
    }
    await channel.close()
    await server.shutdown(grace: .zero)
    await supervisor.stop()
    try await group.waitForAll()
    await dataChannel.close()
    await dataServer.shutdown(grace: .zero)
    try result.get()
  }
}

/// Runs the body and returns the error it must throw.
func refusal(
  _ location: SourceLocation = #_sourceLocation,
  _ body: () async throws -> Void
) async throws -> RPCError {
  let error = await #expect(throws: RPCError.self, sourceLocation: location) { try await body() }
  return try #require(error, sourceLocation: location)
}
