import DataService
import Files
import Foundation
import NIOCore
import NIOPosix
import RPC
import Registry
import ServiceAPI
import ServiceKit
import Store
import Testing

/// The registry's handlers behind a real server, called with the generated client.
@Suite struct RegistryServiceTests {
  @Test func `Importing, listing, resolving and aliasing go over the wire`() async throws {
    try await withService { service in
      let client = service.client
      var request = RegistryV1.ImportModelRequest()
      request.path = "\(demoModels)/support-chat"
      let imported = try await client.importModel(request)
      #expect(imported.name == "support-chat")
      #expect(imported.version == 1)
      #expect(imported.task == "text-generation")
      #expect(imported.architecture == "llama")
      #expect(imported.contextTokens == 1_024)
      #expect(imported.digest.count == 64)
      #expect(imported.createdAtMs > 1_700_000_000_000)
      let weights = try #require(imported.files.first { $0.name == "model.safetensors" })
      #expect(weights.sizeBytes == 10_957_208)
      #expect(weights.sha256.count == 64)
      #expect(FileManager.default.fileExists(atPath: "\(imported.path)/model.safetensors"))

      #expect(try await client.importModel(request) == imported)
      request.name = "copy"
      #expect(try await client.importModel(request).digest == imported.digest)
      let list = try await client.listModels(RegistryV1.ListModelsRequest())
      #expect(list.versions.map(\.name) == ["copy", "support-chat"])
      #expect(list.versions.last == imported)

      var alias = RegistryV1.SetAliasRequest()
      (alias.name, alias.alias, alias.version) = ("support-chat", "production", 1)
      #expect(try await client.setAlias(alias).aliases == ["production"])
      var resolve = RegistryV1.ResolveModelRequest()
      resolve.model = "support-chat@production"
      #expect(try await client.resolveModel(resolve).aliases == ["production"])
      alias.version = 0
      #expect(try await client.setAlias(alias) == imported)
    }
  }

  @Test func `A damaged file is refused with its name, and the service goes on`() async throws {
    try await withService { service in
      let folder = "\(service.root)/chat"
      try FileManager.default.copyItem(atPath: "\(demoModels)/support-chat", toPath: folder)
      try Data("{".utf8).write(to: URL(fileURLWithPath: "\(folder)/config.json"))
      var request = RegistryV1.ImportModelRequest()
      request.path = folder
      let error = try await refusal {
        _ = try await service.client.importModel(request)
      }
      #expect(error.code == .failedPrecondition)
      #expect(error.message.contains("config.json"))
      let list = try await service.client.listModels(RegistryV1.ListModelsRequest())
      #expect(list.versions.isEmpty)
    }
  }

  @Test func `Bad requests are answered with their codes`() async throws {
    try await withService { service in
      for (model, code) in [
        ("", StatusCode.invalidArgument), ("../x", .invalidArgument), ("none", .notFound),
        ("none@production", .notFound),
      ] {
        var request = RegistryV1.ResolveModelRequest()
        request.model = model
        let error = try await refusal {
          _ = try await service.client.resolveModel(request)
        }
        #expect(error.code == code, "\(model)")
      }
      var request = RegistryV1.ImportModelRequest()
      request.path = "relative"
      let error = try await refusal {
        _ = try await service.client.importModel(request)
      }
      #expect(error.code == .invalidArgument)
    }
  }

  @Test func `A file that is lost is data loss, named`() async throws {
    try await withService { service in
      var request = RegistryV1.ImportModelRequest()
      request.path = "\(demoModels)/support-chat"
      let imported = try await service.client.importModel(request)
      try FileManager.default.removeItem(atPath: "\(imported.path)/tokenizer.json")
      var resolve = RegistryV1.ResolveModelRequest()
      resolve.model = "support-chat"
      let error = try await refusal {
        _ = try await service.client.resolveModel(resolve)
      }
      #expect(error.code == .dataLoss)
      #expect(error.message.contains("tokenizer.json"))
    }
  }

  @Test func `A caller that goes away ends its import`() async throws {
    let (begun, begin) = AsyncStream.makeStream(of: Void.self)
    let onStep: @Sendable (ImportStep) -> Void = { step in
      guard step == .begun else { return }
      begin.yield()
      // On the import's own thread: hold it until the cancellation has come through the wire.
      let end = ContinuousClock.now + .seconds(20)
      while !Task.isCancelled, ContinuousClock.now < end { sched_yield() }
    }
    try await withService(onStep: onStep) { service in
      var request = RegistryV1.ImportModelRequest()
      request.path = "\(demoModels)/support-chat"
      let call = Task { [request] in try await service.client.importModel(request) }
      for await _ in begun.prefix(1) {}
      call.cancel()
      await #expect(throws: RPCError.self) { try await call.value }
      // Imports run one after another: this one waits for the cancelled one to end.
      await #expect(throws: DataError.self) {
        try await service.registry.importModel(folder: "/nonexistent")
      }
      let versions = try await service.registry.listModels()
      #expect(versions.isEmpty)
      let inconsistencies = try service.registry.inconsistencies()
      #expect(inconsistencies.isEmpty)
    }
  }

  @Test(arguments: DataError.Code.allCases)
  func `Every error of the registry has a status, and keeps its message`(code: DataError.Code) {
    let error = RPCError(DataError(code, "message"))
    #expect(error.code != .unknown && error.code != .ok)
    #expect(error.message == "message")
    #expect(error.cause is DataError)
    #expect((error.reason == .storageFull) == (code == .storageFull))
  }

  @Test(
    arguments: [
      (ENOSPC, DataError.Code.storageFull), (EDQUOT, .storageFull), (EMFILE, .resourceExhausted),
    ]
  )
  func `A disk that is full is told from other things that are`(
    number: CInt,
    code: DataError.Code
  ) {
    #expect(DataError.refused(.write, "x", SystemCallError(number: number)).code == code)
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

/// A served registry in a temporary folder.
struct ServedRegistry: Sendable {
  let root: String
  let registry: ModelRegistry
  let client: RegistryV1.RegistryClient
}

/// Runs the body with a server on a free port, and ends it.
func withService(
  onStep: @escaping @Sendable (ImportStep) -> Void = { _ in },
  _ body: (ServedRegistry) async throws -> Void
) async throws {
  let root = FileManager.default.temporaryDirectory.path + "/data-\(UUID().uuidString)"
  defer { try? FileManager.default.removeItem(atPath: root) }
  let registry = try ModelRegistry(directory: root, inspector: .standard, onStep: onStep)
  var router = Router()
  router.register(RegistryHandlers(registry: registry))
  let group = MultiThreadedEventLoopGroup.singleton
  let server = RPCServer(router: router, configuration: ServerConfiguration(), group: group)
  let address = try await server.start()
  let channel = RPCChannel(host: "127.0.0.1", port: address.port ?? 0, group: group)
  let service = ServedRegistry(
    root: root,
    registry: registry,
    client: RegistryV1.RegistryClient(channel)
  )
  let result: Result<Void, any Error>
  do {
    result = .success(try await body(service))
  } catch {
    result = .failure(error)
  }
  await channel.close()
  await server.shutdown(grace: .seconds(1))
  try result.get()
}

/// The demo models of the repository.
let demoModels = URL(fileURLWithPath: #filePath)
  .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  .appendingPathComponent("deploy/models").path
