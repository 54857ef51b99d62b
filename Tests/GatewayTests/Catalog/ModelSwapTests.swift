import HTTPTypes
import HummingbirdTesting
import ModelAccess
import NIOCore
import RPC
import ServiceAPI
import Synchronization
import Testing

@testable import Gateway

@Suite("Versions behind names", .timeLimit(.minutes(5)))
struct ModelSwapTests {
  private static func chat(_ version: UInt32, aliases: [String] = []) -> RegistryV1.ModelVersion {
    var model = RegistryV1.ModelVersion()
    model.name = "chat"
    model.version = version
    model.digest = "digest of \(version)"
    model.task = "text-generation"
    model.contextTokens = 100
    model.aliases = aliases
    return model
  }

  private static func list(production: UInt32) -> [RegistryV1.ModelVersion] {
    (1...3).map { chat($0, aliases: $0 == production ? ["production"] : []) }
  }

  private static let body = ByteBuffer(
    string: #"{"model":"chat","messages":[{"role":"user","content":"hi"}]}"#
  )

  private func ask(_ gateway: TestGateway, _ body: ByteBuffer = body) async throws {
    try await gateway.client.execute(
      uri: "/v1/chat/completions",
      method: .post,
      headers: [.contentType: "application/json"],
      body: body
    ) { #expect($0.status == .ok) }
  }

  /// The version that both calls of a chat were made with.
  private func version(_ gateway: TestGateway) async throws -> String? {
    try await ask(gateway)
    let asked = gateway.suite.asked
    #expect(asked.rendered.last?.model == asked.generated.last?.model)
    return asked.generated.last?.model
  }

  private func until(_ what: String, _ condition: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + .seconds(30)
    while try await !condition() {
      guard ContinuousClock.now < end else { throw RPCError(.deadlineExceeded, what) }
      await Task.yield()
    }
  }

  @Test("a name keeps its version until the services have loaded the next one")
  func keepsVersion() async throws {
    let gate = Gate()
    let suite = FakeSuite(load: { _ in try await gate.wait() })
    suite.versions.withLock { $0 = Self.list(production: 1) }
    try await TestGateway.run(suite) { gateway in
      #expect(try await version(gateway) == "chat@1")
      suite.versions.withLock { $0 = Self.list(production: 2) }
      await gateway.server.catalog.follow(.changed([]))
      for _ in 0..<4 { #expect(try await version(gateway) == "chat@1") }
      gate.open()
      try await until("the swap") { try await version(gateway) == "chat@2" }
      #expect(suite.asked.loads.sorted() == ["inference chat@2", "tokenizer chat@2"])
    }
  }

  @Test("a version that cannot be loaded does not answer")
  func keepsBrokenOut() async throws {
    let suite = FakeSuite(load: { model in
      if model == "chat@2" { throw RPCError(.dataLoss, "damaged") }
    })
    suite.versions.withLock { $0 = Self.list(production: 1) }
    try await TestGateway.run(suite) { gateway in
      #expect(try await version(gateway) == "chat@1")
      suite.versions.withLock { $0 = Self.list(production: 2) }
      await gateway.server.catalog.follow(.changed([]))
      try await until("the attempt") { suite.asked.loads.count >= 2 }
      for _ in 0..<4 { #expect(try await version(gateway) == "chat@1") }
      suite.versions.withLock { $0 = Self.list(production: 3) }
      await gateway.server.catalog.follow(.changed([]))
      try await until("the next one") { try await version(gateway) == "chat@3" }
    }
  }

  @Test("a name that goes back needs no load, and one that says a version waits for none")
  func goesBack() async throws {
    let gate = Gate()
    let suite = FakeSuite(load: { _ in try await gate.wait() })
    suite.versions.withLock { $0 = Self.list(production: 1) }
    try await TestGateway.run(suite) { gateway in
      #expect(try await version(gateway) == "chat@1")
      for production in [2, 1] as [UInt32] {
        suite.versions.withLock { $0 = Self.list(production: production) }
        await gateway.server.catalog.follow(.changed([]))
      }
      #expect(try await version(gateway) == "chat@1")
      let body = #"{"model":"chat@3","messages":[{"role":"user","content":"hi"}]}"#
      try await ask(gateway, ByteBuffer(string: body))
      #expect(suite.asked.generated.last?.model == "chat@3")
      gate.open()
      #expect(try await version(gateway) == "chat@1")
    }
  }

  @Test("without a watch a change is found when the list is renewed")
  func polls() async throws {
    let suite = FakeSuite()
    suite.versions.withLock { $0 = Self.list(production: 1) }
    try await TestGateway.run(
      suite,
      adjust: { $0.catalogAges = .init(list: .zero, miss: .zero) },
      { gateway in
        #expect(try await version(gateway) == "chat@1")
        suite.versions.withLock { $0 = Self.list(production: 2) }
        try await until("the swap") { try await version(gateway) == "chat@2" }
      }
    )
  }

  @Test("while changes are told, the list is not renewed for its age")
  func isTold() async throws {
    let suite = FakeSuite()
    try await TestGateway.run(
      suite,
      adjust: { $0.catalogAges = .init(list: .zero, followedList: .seconds(3600), miss: .zero) },
      { gateway in
        await gateway.server.catalog.follow(.all([]))
        for _ in 0..<4 { try await ask(gateway) }
        #expect(suite.asked.lists == 1)
        await gateway.server.catalog.follow(.disconnected)
        try await ask(gateway)
        #expect(suite.asked.lists == 2)
      }
    )
  }

  @Test("names are bounded, and forgotten with their versions")
  func bounds() {
    let one = Model(Self.chat(1)), two = Model(Self.chat(2, aliases: ["production"]))
    var served = ServedVersions()
    #expect(served.model("chat", target: one) == one)
    #expect(served.model("chat", target: two) == one)
    #expect(served.model("chat@2", target: two) == two)
    #expect(served.successors(in: ModelList([one, two])) == [two])
    served.adopt(two, in: ModelList([one, two]))
    #expect(served.model("chat", target: two) == two)
    // The version that answers is gone: what the name means answers.
    served.forget(missingFrom: ModelList([one]))
    #expect(served.model("chat", target: one) == one)
    for index in 0...ServedVersions.namesMax { _ = served.model("name\(index)", target: one) }
    #expect(served.successors(in: ModelList([one])) == [])
  }
}
