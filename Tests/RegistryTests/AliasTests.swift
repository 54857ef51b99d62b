import GRDB
import Registry
import Store
import Testing

@Suite struct AliasTests {
  /// A registry with versions 1, 2 and 3 of `tiny`.
  private func registry(
    _ temporary: TemporaryStore,
    _ limits: RegistryLimits = RegistryLimits()
  ) async throws -> ModelRegistry {
    let registry = try temporary.open(limits)
    for number in 1...3 {
      let folder = try temporary.folder("tiny", weights: "\(number)")
      _ = try await registry.importModel(folder: folder)
    }
    return registry
  }

  @Test func `Promotions are taken back one after another, and the history is kept`() async throws {
    let temporary = try TemporaryStore()
    let registry = try await registry(temporary)
    #expect(try await registry.promote("tiny@1").aliases == ["production"])
    #expect(try await registry.promote("tiny@2").version == 2)
    #expect(try await registry.promote("tiny@2").version == 2)
    #expect(try await registry.promote("tiny").version == 3)
    #expect(try await registry.resolve("tiny").version == 3)
    #expect(try await registry.rollback("tiny").version == 2)
    #expect(try await registry.rollback("tiny").version == 1)
    // Before the first promotion the name meant its newest version.
    #expect(try await registry.rollback("tiny").version == 3)
    let error = try await failure { _ = try await registry.rollback("tiny") }
    #expect(error.code == .failedPrecondition)

    #expect(try await registry.promote("tiny@2").version == 2)
    #expect(try await registry.rollback("tiny").version == 3)
    let model = try await registry.model("tiny")
    #expect(model.versions.map(\.version) == [1, 2, 3])
    #expect(
      model.history.reversed().map {
        "\($0.action.rawValue) \($0.previous ?? 0) \($0.version ?? 0)"
      }
        == [
          "promote 3 1", "promote 1 2", "promote 2 3", "rollback 3 2", "rollback 2 1",
          "rollback 1 3", "promote 3 2", "rollback 2 3",
        ]
    )
    #expect(
      model.aliases.map { "\($0.alias) \($0.version) \($0.isImplied)" } == ["production 3 false"]
    )
  }

  @Test func `Other aliases have a history of their own`() async throws {
    let temporary = try TemporaryStore()
    let registry = try await registry(temporary)
    _ = try await registry.promote("tiny@1", as: "staging")
    _ = try await registry.promote("tiny@2", as: "staging")
    _ = try await registry.promote("tiny@staging")
    #expect(try await registry.resolve("tiny").version == 2)
    #expect(try await registry.rollback("tiny", alias: "staging").version == 1)
    #expect(try await registry.resolve("tiny").version == 2)
    let error = try await failure { _ = try await registry.rollback("tiny", alias: "staging") }
    #expect(error.code == .failedPrecondition)
    for (name, code) in [("ghost", DataError.Code.notFound), ("A", .invalidArgument)] {
      let failed = try await failure { _ = try await registry.rollback(name) }
      #expect(failed.code == code)
      let refused = try await failure { _ = try await registry.promote(name) }
      #expect(refused.code == code)
    }
  }

  @Test func `Aliases set by hand are taken back too, a removed one is not`() async throws {
    let temporary = try TemporaryStore()
    let registry = try await registry(temporary)
    _ = try await registry.setAlias("production", of: "tiny", to: 1)
    _ = try await registry.setAlias("production", of: "tiny", to: 2)
    #expect(try await registry.rollback("tiny").version == 1)
    _ = try await registry.setAlias("production", of: "tiny", to: nil)
    _ = try await registry.promote("tiny@2")
    #expect(try await registry.rollback("tiny").version == 3)
  }

  @Test func `The history of an alias is bounded`() async throws {
    let temporary = try TemporaryStore()
    var limits = RegistryLimits()
    limits.aliasHistoryMax = 4
    let registry = try await registry(temporary, limits)
    for number in [1, 2, 3, 1, 2, 3, 1] { _ = try await registry.promote("tiny@\(number)") }
    #expect(try await registry.model("tiny").history.count == 4)
    #expect(try await registry.rollback("tiny").version == 3)
    #expect(try await registry.rollback("tiny").version == 2)
  }

  @Test func `A store of the release before keeps its aliases`() async throws {
    let temporary = try TemporaryStore()
    do {
      let registry = try await registry(temporary)
      _ = try await registry.setAlias("production", of: "tiny", to: 1)
      try await registry.close()
    }
    let database = try DatabaseQueue(path: "\(temporary.store)/registry.sqlite")
    try await database.write { database in
      try database.execute(
        sql: """
          DROP TABLE alias_change; DROP TABLE model_metric; DROP TABLE model_lineage;
          DELETE FROM grdb_migrations WHERE identifier LIKE '2 %';
          """
      )
    }
    try database.close()
    let registry = try temporary.open()
    #expect(try await registry.resolve("tiny").version == 1)
    #expect(try await registry.model("tiny").history.isEmpty)
    _ = try await registry.promote("tiny@3")
    #expect(try await registry.rollback("tiny").version == 1)
  }

  @Test(.timeLimit(.minutes(5)))
  func `A watcher sees where aliases point, then each change`() async throws {
    let temporary = try TemporaryStore()
    let registry = try await registry(temporary)
    var watch = try registry.watchAliases()
    var other = try registry.watchAliases(of: ["other"])
    func shown(_ targets: [AliasTarget]?) -> [String]? {
      targets?.map { "\($0.name)@\($0.alias) \($0.version)\($0.isImplied ? " implied" : "")" }
    }
    #expect(shown(try await watch.next()) == ["tiny@production 3 implied"])
    #expect(shown(try await other.next()) == [])
    _ = try await registry.promote("tiny@1")
    #expect(shown(try await watch.next()) == ["tiny@production 1"])
    _ = try await registry.promote("tiny@1", as: "canary")
    #expect(shown(try await watch.next()) == ["tiny@canary 1"])
    _ = try await registry.setAlias("canary", of: "tiny", to: nil)
    #expect(shown(try await watch.next()) == ["tiny@canary 0"])
    _ = try await registry.rollback("tiny")
    #expect(shown(try await watch.next()) == ["tiny@production 3"])
    // Several changes that nobody reads are one.
    _ = try await registry.promote("tiny@1")
    _ = try await registry.promote("tiny@2")
    _ = try await registry.importModel(folder: temporary.folder("other"))
    var seen: [String] = []
    while seen.count < 2 { seen += shown(try await watch.next()) ?? [] }
    #expect(seen.contains("tiny@production 2"))
    #expect(shown(try await other.next()) == ["other@production 1 implied"])
    _ = try await registry.importModel(folder: temporary.folder("other", weights: "new"))
    #expect(shown(try await other.next()) == ["other@production 2 implied"])
    try await registry.close()
    while try await watch.next() != nil {}
  }

  @Test func `Watchers are bounded, and a cancelled one leaves`() async throws {
    let temporary = try TemporaryStore()
    var limits = RegistryLimits()
    limits.watchersMax = 1
    let registry = try await registry(temporary, limits)
    let task = Task {
      var watch = try registry.watchAliases()
      while try await watch.next() != nil {}
    }
    task.cancel()
    try await task.value
    var watch: AliasWatch? = try registry.watchAliases()
    _ = try await watch?.next()
    let error = #expect(throws: DataError.self) { _ = try registry.watchAliases() }
    #expect(error?.code == .resourceExhausted)
    watch = nil
    _ = try registry.watchAliases()
  }
}
