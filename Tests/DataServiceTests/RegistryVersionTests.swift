import DataService
import Foundation
import NIOCore
import NIOPosix
import RPC
import Registry
import ServiceAPI
import ServiceKit
import Store
import Testing

/// Versions that are uploaded, promoted and watched, over the wire.
@Suite struct RegistryVersionTests {
  @Test(.timeLimit(.minutes(5)))
  func `A model is uploaded, promoted and rolled back, and a watcher sees it`() async throws {
    try await withService { service in
      let client = service.client
      var request = RegistryV1.ImportModelRequest()
      request.path = "\(demoModels)/support-chat"
      let first = try await client.importModel(request)

      var watched = try await client.watchAliases(.init()).makeAsyncIterator()
      #expect(try await watched.next()?.aliases.map(\.version) == [1])

      // The same files, and one more: another digest.
      let second = try await upload(first, to: client, extra: ("NOTICE", "trained"))
      #expect(second.version == 2)
      #expect(second.metrics.map(\.name) == ["test_f1"])
      #expect(second.lineage?.dataset == "support@1")
      #expect(second.files.count == first.files.count + 1)
      // The name means what it meant before, now by its alias.
      let kept = try await watched.next()?.aliases
      #expect(kept?.map(\.version) == [1])
      #expect(kept?.map(\.isImplied) == [false])

      var promote = RegistryV1.PromoteRequest()
      promote.model = "support-chat"
      #expect(try await client.promote(promote).aliases == ["production"])
      let moved = try await watched.next()?.aliases
      #expect(moved?.map(\.version) == [2])
      #expect(moved?.map(\.digest) == [second.digest])

      var rollback = RegistryV1.RollbackRequest()
      rollback.name = "support-chat"
      #expect(try await client.rollback(rollback).version == 1)
      #expect(try await watched.next()?.aliases.map(\.version) == [1])

      var get = RegistryV1.GetModelRequest()
      get.name = "support-chat"
      let model = try await client.getModel(get)
      #expect(model.versions.map(\.version) == [1, 2])
      #expect(model.versions[1].lineage?.configurationJSON == "{}")
      #expect(model.history.map(\.action) == ["rollback", "promote", "register"])
      #expect(model.aliases.map(\.alias) == ["production"])
      let list = try await client.listModels(.init())
      #expect(list.versions[1].metrics.map(\.value) == [0.5])
      #expect(list.versions[1].lineage == nil)
    }
  }

  @Test func `An upload that breaks off or is out of order leaves nothing`() async throws {
    try await withService { service in
      var start = RegistryV1.RegisterVersionRequest()
      var head = RegistryV1.RegisterVersionStart()
      head.name = "x"
      start.part = .start(head)
      var data = RegistryV1.RegisterVersionRequest()
      data.part = .data([1])
      var file = RegistryV1.RegisterVersionRequest()
      var announced = RegistryV1.ModelFile()
      (announced.name, announced.sizeBytes) = ("config.json", 5)
      file.part = .file(announced)
      for (requests, code) in [
        ([], StatusCode.invalidArgument), ([data], .invalidArgument),
        ([start, data], .invalidArgument), ([start, start], .invalidArgument),
        ([start], .failedPrecondition), ([start, file, data], .failedPrecondition),
      ] {
        let error = try await refusal {
          _ = try await service.client.registerVersion { writer in
            for request in requests { try await writer.write(request) }
          }
        }
        #expect(error.code == code, "\(error)")
      }
      let error = try await refusal {
        _ = try await service.client.registerVersion { writer in
          try await writer.write(start)
          try await writer.write(file)
          throw RPCError(.cancelled, "gone")
        }
      }
      #expect(error.code == .cancelled)
      #expect(try await service.registry.listModels().isEmpty)
    }
  }

  @Test(.timeLimit(.minutes(5)))
  func `A watch ends when the server drains`() async throws {
    let root = FileManager.default.temporaryDirectory.path + "/data-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: root) }
    let registry = try ModelRegistry(directory: root, inspector: .standard)
    let health = HealthRegistry()
    let handlers = RegistryHandlers(registry: registry, health: health)
    var router = Router()
    router.register(handlers)
    let group = MultiThreadedEventLoopGroup.singleton
    let server = RPCServer(router: router, configuration: ServerConfiguration(), group: group)
    let port = try #require(try await server.start().port)
    let channel = RPCChannel(host: "127.0.0.1", port: port, group: group)
    var watched = try await RegistryV1.RegistryClient(channel).watchAliases(.init())
      .makeAsyncIterator()
    #expect(try await watched.next()?.aliases == [])
    health.markDraining()
    let error = await #expect(throws: RPCError.self) { _ = try await watched.next() }
    #expect(error?.code == .unavailable)
    await channel.close()
    await server.shutdown(grace: .seconds(1))
  }

  /// Sends the files of a registered version, and one more.
  private func upload(
    _ version: RegistryV1.ModelVersion,
    to client: RegistryV1.RegistryClient,
    extra: (name: String, text: String)
  ) async throws -> RegistryV1.ModelVersion {
    try await client.registerVersion { writer in
      var start = RegistryV1.RegisterVersionStart()
      start.name = version.name
      var metric = RegistryV1.Metric()
      (metric.name, metric.value) = ("test_f1", 0.5)
      start.metrics = [metric]
      var lineage = RegistryV1.Lineage()
      (lineage.dataset, lineage.configurationJSON) = ("support@1", "{}")
      start.lineage = lineage
      var request = RegistryV1.RegisterVersionRequest()
      request.part = .start(start)
      try await writer.write(request)
      var file = RegistryV1.ModelFile()
      (file.name, file.sizeBytes) = (extra.name, UInt64(extra.text.utf8.count))
      // printf trained | sha256sum
      file.sha256 = "33fbcd8470eae125a265eb3f4375137f38ea4dc42f75ac09594bfe1a1c951af6"
      request.part = .file(file)
      try await writer.write(request)
      request.part = .data(Array(extra.text.utf8))
      try await writer.write(request)
      for file in version.files {
        request.part = .file(file)
        try await writer.write(request)
        let path = URL(fileURLWithPath: "\(version.path)/\(file.name)")
        var rest = Array(try Data(contentsOf: path))[...]
        while !rest.isEmpty {
          request.part = .data(Array(rest.prefix(1 << 20)))
          try await writer.write(request)
          rest = rest.dropFirst(1 << 20)
        }
      }
    }
  }
}
