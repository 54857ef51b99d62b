import Crypto
import Foundation
import NIOCore
import NIOPosix
import RPC
import ServiceAPI
import Synchronization
import Testing

@testable import WorkerTransfer

/// A dataset service that sends rows and breaks off when it is told.
final class FlakyDatasets: Sendable {
  static let rows = (0..<100).map { "{\"text\":\"row \($0)\"}\n" }

  /// The cursors of the reads that came.
  let cursors = Mutex<[UInt64]>([])
  /// How each read ends that does not succeed: after so many rows, with this code.
  let failures: Mutex<[(rows: Int, code: StatusCode)]>

  init(failures: [(rows: Int, code: StatusCode)] = []) {
    self.failures = Mutex(failures)
  }

  func read(
    _ request: DatasetsV1.ReadRequest,
    _ responses: ResponseWriter<DatasetsV1.ReadResponse>
  ) async throws {
    cursors.withLock { $0.append(request.cursor) }
    let failure = failures.withLock { $0.isEmpty ? nil : $0.removeFirst() }
    var isFirst = true
    for start in stride(from: Int(request.cursor), to: Self.rows.count, by: 7) {
      if let failure, start >= failure.rows { throw RPCError(failure.code, "broken off") }
      let rows = Self.rows[start..<min(start + 7, Self.rows.count)]
      var response = DatasetsV1.ReadResponse()
      response.rows = rows.flatMap { Array($0.utf8) }
      response.rowCount = UInt32(rows.count)
      response.cursor = UInt64(start + rows.count)
      if isFirst {
        response.dataset = "flaky@1"
        response.digest = "d"
        response.splitRows = UInt64(Self.rows.count)
        isFirst = false
      }
      try await responses.write(response)
    }
  }

  func serving(_ body: (DatasetsV1.DatasetsClient) async throws -> Void) async throws {
    var router = Router()
    router.serverStreaming(DatasetsV1.DatasetsMethods.read) {
      (
        request: DatasetsV1.ReadRequest,
        _: ServerContext,
        responses: ResponseWriter<DatasetsV1.ReadResponse>
      ) in
      try await self.read(request, responses)
    }
    try await withServer(router) { try await body(DatasetsV1.DatasetsClient($0)) }
  }
}

func withServer(_ router: Router, _ body: (RPCChannel) async throws -> Void) async throws {
  let group = MultiThreadedEventLoopGroup.singleton
  let server = RPCServer(router: router, configuration: ServerConfiguration(), group: group)
  let port = try await server.start().port ?? 0
  let channel = RPCChannel(host: "127.0.0.1", port: port, group: group)
  let result: Result<Void, any Error>
  do {
    result = .success(try await body(channel))
  } catch {
    result = .failure(error)
  }
  await channel.close()
  await server.shutdown(grace: .zero)
  try result.get()
}

/// A folder that is removed with the object.
final class TemporaryFolder: Sendable {
  let path = FileManager.default.temporaryDirectory.path + "/transfer-\(UUID().uuidString)"

  init() throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

@Suite struct DatasetDownloadTests {
  private var policy: TransferRetries {
    var policy = TransferRetries()
    policy.delay = .milliseconds(1)
    return policy
  }

  @Test func `The rows of a split come into a file`() async throws {
    let folder = try TemporaryFolder()
    let datasets = FlakyDatasets()
    try await datasets.serving { client in
      let result = try await DatasetDownload(client: client, policy: policy)
        .download("train", of: "flaky@1", to: "\(folder.path)/rows")
      #expect(result == .init(dataset: "flaky@1", digest: "d", rows: 100))
    }
    let text = try String(contentsOfFile: "\(folder.path)/rows", encoding: .utf8)
    #expect(text == FlakyDatasets.rows.joined())
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["rows"])
  }

  @Test func `Reads that break off go on where they were, without a row too many or too few`()
    async throws
  {
    let folder = try TemporaryFolder()
    let datasets = FlakyDatasets(failures: [
      (0, .unavailable), (21, .unavailable), (21, .internal), (49, .cancelled), (98, .unknown),
    ])
    try await datasets.serving { client in
      let result = try await DatasetDownload(client: client, policy: policy)
        .download("train", of: "flaky@1", to: "\(folder.path)/rows")
      #expect(result.rows == 100)
    }
    let text = try String(contentsOfFile: "\(folder.path)/rows", encoding: .utf8)
    #expect(text == FlakyDatasets.rows.joined())
    #expect(datasets.cursors.withLock { $0 } == [0, 0, 21, 21, 49, 98])
  }

  @Test func `A refusal is final; a service that stays away is given up on`() async throws {
    let folder = try TemporaryFolder()
    for (code, expected) in [
      (StatusCode.notFound, TransferError.Code.refused), (.dataLoss, .refused),
      (.unavailable, .unavailable),
    ] {
      var policy = policy
      if expected == .unavailable { policy.patience = .milliseconds(20) }
      let datasets = FlakyDatasets(failures: Array(repeating: (0, code), count: 10_000))
      try await datasets.serving { [policy] client in
        let error = await #expect(throws: TransferError.self) {
          try await DatasetDownload(client: client, policy: policy)
            .download("train", of: "flaky@1", to: "\(folder.path)/rows")
        }
        #expect(error?.code == expected)
        #expect(error?.message.contains("read train of flaky@1") == true)
      }
      #expect(!FileManager.default.fileExists(atPath: "\(folder.path)/rows"))
    }
  }

  @Test func `A worker that is to stop does not wait for a service`() async throws {
    let folder = try TemporaryFolder()
    var policy = policy
    policy.isCancelled = { true }
    let datasets = FlakyDatasets(failures: [(0, .unavailable)])
    try await datasets.serving { [policy] client in
      let error = await #expect(throws: TransferError.self) {
        try await DatasetDownload(client: client, policy: policy)
          .download("train", of: "flaky@1", to: "\(folder.path)/rows")
      }
      #expect(error?.code == .cancelled)
    }
  }
}

@Suite struct ModelUploadTests {
  /// What a registration sent: its start, and the files with their bytes.
  private struct Sent: Sendable {
    var start: RegistryV1.RegisterVersionStart?
    var files: [(file: RegistryV1.ModelFile, bytes: [UInt8])] = []
  }

  @Test func `A folder's files are sent whole, again after a break`() async throws {
    let folder = try TemporaryFolder()
    let weights = (0..<(5 << 19)).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    try Data(weights).write(to: URL(filePath: "\(folder.path)/model.safetensors"))
    try Data("{}".utf8).write(to: URL(filePath: "\(folder.path)/config.json"))
    try FileManager.default.createDirectory(
      atPath: "\(folder.path)/more",
      withIntermediateDirectories: false
    )
    let sent = Mutex<[Sent]>([])
    var router = Router()
    router.clientStreaming(RegistryV1.RegistryMethods.registerVersion) {
      (
        requests: RequestStream<RegistryV1.RegisterVersionRequest>,
        _: ServerContext
      )
        -> RegistryV1.ModelVersion in
      var received = Sent()
      for try await request in requests {
        switch request.part {
        case .start(let start): received.start = start
        case .file(let file): received.files.append((file, []))
        case .data(let bytes):
          received.files[received.files.count - 1].bytes += bytes
          if sent.withLock({ $0.isEmpty }), received.files.count == 2 {
            sent.withLock { $0.append(received) }
            throw RPCError(.unavailable, "stopped")
          }
        case nil: break
        }
      }
      sent.withLock { [received] in $0.append(received) }
      var version = RegistryV1.ModelVersion()
      version.name = received.start?.name ?? ""
      version.version = 3
      return version
    }
    var policy = TransferRetries()
    policy.delay = .milliseconds(1)
    try await withServer(router) { [policy] channel in
      var start = RegistryV1.RegisterVersionStart()
      start.name = "tagger"
      let upload = ModelUpload(client: RegistryV1.RegistryClient(channel), policy: policy)
      let version = try await upload.register(folder.path, as: start)
      #expect(version.version == 3)
      #expect(version.name == "tagger")
    }
    let last = try #require(sent.withLock { $0.last })
    #expect(sent.withLock { $0.count } == 2)
    #expect(last.files.map(\.file.name) == ["config.json", "model.safetensors"])
    #expect(last.files.last?.bytes == weights)
    #expect(last.files.last?.file.sizeBytes == UInt64(weights.count))
    let digest = SHA256.hash(data: weights).map { String(format: "%02x", $0) }.joined()
    #expect(last.files.last?.file.sha256 == digest)
  }
}
