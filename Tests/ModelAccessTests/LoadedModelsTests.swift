import RPC
import ServiceAPI
import Synchronization
import Testing

@testable import ModelAccess

@Suite("Loaded models", .timeLimit(.minutes(5)))
struct LoadedModelsTests {
  /// Loads a version as its own name, and counts.
  private final class Loader: Sendable {
    let loads = Mutex<[String]>([])

    func load(_ version: RegistryV1.ModelVersion) -> String {
      let name = "\(version.name)@\(version.version)"
      loads.withLock { $0.append(name) }
      return name
    }
  }

  @Test("requests for one model share one load and one resolution")
  func sharesLoads() async throws {
    let registry = RegistryFixture()
    registry.set("chat", version: 1)
    let loader = Loader()
    try await registry.serving { client, _ in
      let models = LoadedModels(
        registry: client,
        modelsMax: 2,
        resolutionLifetime: .seconds(3600)
      ) { loader.load($0) }
      let first = try await models.entry("chat")
      #expect(first.model == "chat@1")
      try await withThrowingTaskGroup(of: String.self) { group in
        for _ in 0..<16 { group.addTask { try await models.entry("chat").model } }
        for try await model in group { #expect(model == "chat@1") }
      }
    }
    #expect(loader.loads.withLock { $0 } == ["chat@1"])
    #expect(registry.calls == 1)
  }

  @Test("a name that moves to another version is followed")
  func followsAliases() async throws {
    let registry = RegistryFixture()
    registry.set("chat@production", version: 1)
    let loader = Loader()
    try await registry.serving { client, _ in
      let models = LoadedModels(registry: client, modelsMax: 2, resolutionLifetime: .zero) {
        loader.load($0)
      }
      try await expect(models, "chat@production", is: "chat@1")
      registry.set("chat@production", version: 2)
      try await eventually("the new version") {
        try await models.entry("chat@production").model == "chat@2"
      }
      registry.set("chat@production", version: 1)
      let entry = try await models.entry("chat@production")
      #expect(entry.version.version == 1)
    }
    #expect(loader.loads.withLock { $0 } == ["chat@1", "chat@2"])
  }

  @Test("what is known is served while the registry is away, what is not is UNAVAILABLE")
  func survivesRegistry() async throws {
    let registry = RegistryFixture()
    registry.set("chat", version: 1)
    let loader = Loader()
    try await registry.serving { client, stop in
      let models = LoadedModels(registry: client, modelsMax: 2, resolutionLifetime: .zero) {
        loader.load($0)
      }
      _ = try await models.entry("chat")
      await stop()
      try await expect(models, "chat", is: "chat@1")
      try await expect(models, "other", failsWith: .unavailable)
    }
  }

  @Test("the least recently used model makes room")
  func evicts() async throws {
    let registry = RegistryFixture()
    for name in ["a", "b", "c"] { registry.set(name, version: 1) }
    let loader = Loader()
    try await registry.serving { client, _ in
      let models = LoadedModels(registry: client, modelsMax: 2) { loader.load($0) }
      for name in ["a", "b", "a", "c", "a", "b"] { _ = try await models.entry(name) }
      let count = await models.count
      #expect(count == 2)
    }
    #expect(loader.loads.withLock { $0 } == ["a@1", "b@1", "c@1", "b@1"])
  }

  @Test("what cannot be a model's name is refused without asking the registry")
  func refusesNames() async throws {
    let registry = RegistryFixture()
    try await registry.serving { client, _ in
      let models = LoadedModels(registry: client, modelsMax: 2) { $0.name }
      // Combining marks that alternate take Swift's comparison quadratic time.
      let hostile = "a" + String(repeating: "\u{301}\u{323}", count: 200_000)
      let long = String(repeating: "a", count: 130)
      for name in ["", long, hostile, "Chat", "chat v1", "../chat", "chät", "a\nb"] {
        try await expect(models, name, failsWith: .invalidArgument)
      }
      try await expect(models, String(long.dropLast()), failsWith: .notFound)
    }
    #expect(registry.calls == 1)
  }

  @Test("requests for one name wait for one answer of the registry")
  func sharesResolutions() async throws {
    let registry = RegistryFixture()
    registry.set("chat", version: 1)
    await registry.hold()
    try await registry.serving { client, _ in
      let models = LoadedModels(registry: client, modelsMax: 2, resolutionLifetime: .seconds(3600))
      { $0.name }
      try await withThrowingTaskGroup(of: String.self) { group in
        for _ in 0..<16 { group.addTask { try await models.entry("chat").model } }
        while registry.calls == 0 { await Task.yield() }
        await registry.release()
        for try await model in group { #expect(model == "chat") }
      }
    }
    #expect(registry.calls == 1)
  }

  @Test("a model that is being loaded keeps its place")
  func keepsLoading() async throws {
    let registry = RegistryFixture()
    for name in ["a", "b"] { registry.set(name, version: 1) }
    let gate = Gate()
    try await registry.serving { client, _ in
      let models = LoadedModels(registry: client, modelsMax: 1) { version in
        await gate.wait()
        return version.name
      }
      async let first = models.entry("a").model
      while await models.count == 0 { await Task.yield() }
      try await expect(models, "b", failsWith: .resourceExhausted)
      await gate.open()
      let model = try await first
      #expect(model == "a")
      try await expect(models, "b", is: "b")
    }
  }

  @Test("a load that failed is not tried again at once")
  func backsOff() async throws {
    let registry = RegistryFixture()
    registry.set("chat", version: 1)
    let loads = Mutex(0)
    try await registry.serving { client, _ in
      let models = LoadedModels<String>(
        registry: client,
        modelsMax: 2,
        retryDelay: .seconds(3600)
      ) { _ in
        loads.withLock { $0 += 1 }
        throw RPCError(.dataLoss, "damaged")
      }
      for _ in 0..<3 { try await expect(models, "chat", failsWith: .dataLoss) }
    }
    #expect(loads.withLock { $0 } == 1)
  }

  @Test("closing hands over what was loaded and refuses what comes")
  func closes() async throws {
    let registry = RegistryFixture()
    for name in ["a", "b"] { registry.set(name, version: 1) }
    try await registry.serving { client, _ in
      let models = LoadedModels(registry: client, modelsMax: 2) { $0.name }
      for name in ["a", "b"] { _ = try await models.entry(name) }
      let closed = await models.close()
      #expect(closed == ["a", "b"])
      try await expect(models, "a", failsWith: .unavailable)
    }
  }

  @Test("a load that failed is tried again, and an unknown name is not remembered")
  func retries() async throws {
    let registry = RegistryFixture()
    let isBroken = Mutex(true)
    try await registry.serving { client, _ in
      let models = LoadedModels(registry: client, modelsMax: 2, retryDelay: .zero) { version in
        if isBroken.withLock({ $0 }) { throw RPCError(.dataLoss, "damaged") }
        return version.name
      }
      try await expect(models, "chat", failsWith: .notFound)
      registry.set("chat", version: 1)
      try await expect(models, "chat", failsWith: .dataLoss)
      isBroken.withLock { $0 = false }
      try await expect(models, "chat", is: "chat")
    }
  }

  private func expect(
    _ models: LoadedModels<String>,
    _ name: String,
    is expected: String,
    at location: SourceLocation = #_sourceLocation
  ) async throws {
    let found = try await models.entry(name).model
    #expect(found == expected, sourceLocation: location)
  }

  private func expect(
    _ models: LoadedModels<String>,
    _ name: String,
    failsWith code: StatusCode,
    at location: SourceLocation = #_sourceLocation
  ) async throws {
    do {
      _ = try await models.entry(name)
      Issue.record("\(name) was found", sourceLocation: location)
    } catch let error as RPCError {
      #expect(error.code == code, sourceLocation: location)
    }
  }
}
