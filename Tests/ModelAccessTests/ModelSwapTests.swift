import RPC
import ServiceAPI
import Synchronization
import Testing

@testable import ModelAccess

@Suite("Swapped models", .timeLimit(.minutes(5)))
struct ModelSwapTests {
  /// A model that says which version it is, and how many of its kind live.
  private final class Weights: Sendable {
    let name: String
    let living: Living

    init(_ name: String, _ living: Living) {
      self.name = name
      self.living = living
      living.names.withLock { $0.append(name) }
    }

    deinit { living.names.withLock { $0.removeAll { $0 == name } } }
  }

  private final class Living: Sendable {
    let names = Mutex<[String]>([])
    var sorted: [String] { names.withLock { $0.sorted() } }
  }

  /// Loads versions when their gate is open, and notes what happens.
  private final class Loader: Sendable {
    let living = Living()
    let gates: [UInt32: Gate]
    let broken: Set<UInt32>
    let loads = Mutex<[String]>([])
    let events = Mutex<[String]>([])

    init(gates: [UInt32: Gate] = [:], broken: Set<UInt32> = []) {
      self.gates = gates
      self.broken = broken
    }

    func load(_ version: RegistryV1.ModelVersion) async throws -> Weights {
      let name = "\(version.name)@\(version.version)"
      loads.withLock { $0.append(name) }
      await gates[version.version]?.wait()
      if broken.contains(version.version) { throw RPCError(.dataLoss, "damaged") }
      return Weights(name, living)
    }

    func note(_ event: ModelSwapEvent) {
      events.withLock {
        switch event {
        case .loaded(let model, let version, _): $0.append("loaded \(model)@\(version)")
        case .failed(let model, let version, _): $0.append("failed \(model)@\(version)")
        }
      }
    }
  }

  private func models(
    _ client: RegistryV1.RegistryClient,
    _ loader: Loader,
    modelsMax: Int = 4,
    lifetime: Duration = .zero,
    outdatedLifetime: Duration = .seconds(3600)
  ) -> LoadedModels<Weights> {
    LoadedModels(
      registry: client,
      modelsMax: modelsMax,
      resolutionLifetime: lifetime,
      // A load that failed is not tried again while a test runs, however slow the machine is.
      retryDelay: .seconds(3600),
      outdatedLifetime: outdatedLifetime,
      onEvent: { loader.note($0) }
    ) { try await loader.load($0) }
  }

  /// Runs `body` while `models` follow the registry.
  private func following(
    _ client: RegistryV1.RegistryClient,
    _ models: LoadedModels<Weights>,
    _ body: () async throws -> Void
  ) async throws {
    let watch = Task { try await AliasWatch(registry: client) { await models.follow($0) }.run() }
    defer { watch.cancel() }
    try await eventually("the first event") { await models.isFollowing }
    try await body()
  }

  @Test("requests go on with the old version until the new one is loaded")
  func goesOn() async throws {
    let registry = RegistryFixture()
    registry.move("chat", to: 1)
    let loader = Loader(gates: [2: Gate()])
    try await registry.serving { client, _ in
      let models = models(client, loader)
      for name in ["chat", "chat@production"] {
        #expect(try await models.entry(name).model.name == "chat@1")
      }
      registry.move("chat", to: 2)
      for _ in 0..<8 { #expect(try await models.entry("chat").model.name == "chat@1") }
      await loader.gates[2]?.open()
      try await eventually("the swap") { try await models.entry("chat").version.version == 2 }
      #expect(try await models.entry("chat@production").model.name == "chat@2")
      #expect(try await models.entry("chat@1").model.name == "chat@1")
    }
    #expect(loader.loads.withLock { $0 } == ["chat@1", "chat@2"])
    #expect(loader.events.withLock { $0 } == ["loaded chat@2"])
  }

  @Test("a version that cannot be loaded leaves the old one in its place")
  func survivesBrokenVersions() async throws {
    let registry = RegistryFixture()
    registry.move("chat", to: 1)
    let loader = Loader(broken: [2])
    try await registry.serving { client, _ in
      let models = models(client, loader, outdatedLifetime: .zero)
      try await following(client, models) {
        _ = try await models.entry("chat")
        registry.move("chat", to: 2)
        try await eventually("the failure") { loader.events.withLock { !$0.isEmpty } }
        for _ in 0..<8 { #expect(try await models.entry("chat").model.name == "chat@1") }
        do {
          _ = try await models.entry("chat@2")
          Issue.record("a broken version was loaded")
        } catch let error as RPCError {
          #expect(error.code == .dataLoss)
        }
        registry.move("chat", to: 3)
        try await eventually("the next one") { try await models.entry("chat").version.version == 3 }
      }
    }
    #expect(loader.loads.withLock { $0 } == ["chat@1", "chat@2", "chat@3"])
    #expect(loader.events.withLock { $0 } == ["failed chat@2", "loaded chat@3"])
  }

  @Test("a version that replaces a loaded one is loaded before anybody asks for it")
  func loadsAhead() async throws {
    let registry = RegistryFixture()
    registry.move("chat", to: 1)
    registry.move("other", to: 7)
    let loader = Loader()
    try await registry.serving { client, _ in
      let models = models(client, loader, lifetime: .seconds(3600))
      try await following(client, models) {
        // As the gateway asks: the alias is not named.
        _ = try await models.entry("chat@1")
        registry.move("other", to: 8)
        registry.move("chat", to: 2)
        try await eventually("the load") { loader.events.withLock { !$0.isEmpty } }
        let calls = registry.calls
        #expect(try await models.entry("chat@2").model.name == "chat@2")
        #expect(try await models.entry("chat@1").model.name == "chat@1")
        #expect(registry.calls == calls)
      }
    }
    #expect(loader.loads.withLock { $0 } == ["chat@1", "chat@2"])
  }

  @Test("what moved while there was no connection is followed after it")
  func reconnects() async throws {
    let registry = RegistryFixture()
    registry.move("chat", to: 1)
    let loader = Loader()
    try await registry.serving { client, _ in
      let models = models(client, loader, lifetime: .seconds(3600))
      try await following(client, models) {
        _ = try await models.entry("chat@1")
        registry.moveSilently("chat", to: 2)
        registry.disconnect()
        try await eventually("another watch") { registry.watches == 2 }
        try await eventually("the load") { loader.events.withLock { $0 == ["loaded chat@2"] } }
      }
    }
  }

  @Test("while changes are told, a name is resolved once")
  func resolvesOnce() async throws {
    let registry = RegistryFixture()
    registry.move("chat", to: 1)
    let loader = Loader()
    try await registry.serving { client, _ in
      let models = models(client, loader)
      try await following(client, models) {
        for _ in 0..<8 { _ = try await models.entry("chat") }
        #expect(registry.calls == 1)
        registry.move("chat", to: 2)
        try await eventually("the swap") { try await models.entry("chat").version.version == 2 }
        #expect(registry.calls <= 3)
      }
    }
  }

  @Test("an old version ends with its last request, and a new one is not affected")
  func letsGo() async throws {
    let registry = RegistryFixture()
    registry.move("chat", to: 1)
    let loader = Loader()
    try await registry.serving { client, _ in
      let models = models(client, loader, outdatedLifetime: .zero)
      try await following(client, models) {
        let running = Mutex<Weights?>(try await models.entry("chat").model)
        registry.move("chat", to: 2)
        try await eventually("the swap") { try await models.entry("chat").version.version == 2 }
        try await eventually("its place to be free") { await models.count == 1 }
        #expect(loader.living.sorted == ["chat@1", "chat@2"])
        running.withLock { $0 = nil }
        try await eventually("its end") { loader.living.sorted == ["chat@2"] }
        #expect(try await models.entry("chat").model.name == "chat@2")
      }
    }
    #expect(loader.loads.withLock { $0 } == ["chat@1", "chat@2"])
  }

  @Test("an alias that comes back finds its version still there")
  func comesBack() async throws {
    let registry = RegistryFixture()
    registry.move("chat", to: 1)
    let loader = Loader()
    try await registry.serving { client, _ in
      let models = models(client, loader)
      try await following(client, models) {
        _ = try await models.entry("chat")
        for version in [2, 1, 2, 1] as [UInt32] {
          registry.move("chat", to: version)
          try await eventually("the swap") {
            try await models.entry("chat").version.version == version
          }
        }
      }
    }
    #expect(loader.loads.withLock { $0 } == ["chat@1", "chat@2"])
  }

  @Test("a swap needs no free place")
  func swapsInPlace() async throws {
    let registry = RegistryFixture()
    registry.move("chat", to: 1)
    let loader = Loader(gates: [2: Gate()])
    try await registry.serving { client, _ in
      let models = models(client, loader, modelsMax: 1)
      _ = try await models.entry("chat")
      registry.move("chat", to: 2)
      for _ in 0..<4 { #expect(try await models.entry("chat").version.version == 1) }
      await loader.gates[2]?.open()
      try await eventually("the swap") { try await models.entry("chat").version.version == 2 }
      registry.move("other", to: 1)
      #expect(try await models.entry("other").model.name == "other@1")
      #expect(await models.count == 1)
    }
  }

  @Test("no request fails while aliases move under load, pinned or not")
  func swapsUnderLoad() async throws {
    let registry = RegistryFixture()
    registry.move("chat", to: 2)
    registry.move("chat", to: 1)
    let loader = Loader()
    try await registry.serving { client, _ in
      let models = models(client, loader, outdatedLifetime: .zero)
      try await following(client, models) {
        try await withThrowingTaskGroup(of: Void.self) { group in
          for worker in 0..<8 {
            group.addTask {
              for round in 0..<200 {
                let pinned = "chat@\(1 + (worker + round) % 2)"
                #expect(try await models.entry(pinned).model.name == pinned)
                let entry = try await models.entry(worker % 2 == 0 ? "chat" : "chat@production")
                #expect(entry.model.name == "chat@\(entry.version.version)")
              }
            }
          }
          group.addTask {
            for round in 0..<200 {
              registry.move("chat", to: UInt32(1 + round % 2))
              _ = try await models.entry("chat")
            }
          }
          try await group.waitForAll()
        }
      }
    }
    #expect(loader.events.withLock { !$0.contains { $0.hasPrefix("failed") } })
  }

  @Test("a name says a version or leaves it open")
  func readsNames() {
    #expect(ModelName.pinned("chat@12").map { "\($0)" } == "(name: \"chat\", version: 12)")
    for name in ["chat", "chat@", "chat@production", "chat@0", "chat@01", "chat@1x", "chat@1@2"] {
      #expect(ModelName.pinned(name) == nil, "\(name)")
    }
    #expect(ModelName.pinned("chat@4294967296") == nil)
  }

  @Test("attempts to connect keep apart, and no wait is longer than the bound")
  func backsOff() {
    for failures in 0..<40 {
      let delay = AliasWatch.delay(afterFailures: failures)
      #expect(delay >= .milliseconds(50) && delay <= .seconds(5))
      if failures > 6 { #expect(delay >= .milliseconds(2500)) }
    }
  }
}
