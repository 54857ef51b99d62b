import Foundation
import GRDB
import Registry
import Store
import Testing

@Suite struct StoreTests {
  @Test func `Versions and aliases are there after a restart`() async throws {
    let temporary = try TemporaryStore()
    do {
      let registry = try temporary.open()
      _ = try await registry.importModel(folder: temporary.folder("tiny"))
      _ = try await registry.setAlias("production", of: "tiny", to: 1)
      try await registry.close()
    }
    let registry = try temporary.open()
    #expect(registry.swept.isEmpty)
    #expect(registry.counters.versions == 1)
    #expect(try await registry.resolve("tiny@production").version == 1)
    #expect(try registry.inconsistencies().isEmpty)
  }

  @Test func `A store has one owner`() throws {
    let temporary = try TemporaryStore()
    let registry = try temporary.open()
    let error = #expect(throws: DataError.self) { try temporary.open() }
    #expect(error?.code == .failedPrecondition)
    #expect(error?.message.contains("owns the store") == true)
    withExtendedLifetime(registry) {}
  }

  @Test func `What no version refers to is removed at start`() async throws {
    let temporary = try TemporaryStore()
    do {
      let registry = try temporary.open()
      _ = try await registry.importModel(folder: temporary.folder("tiny"))
      try await registry.close()
    }
    let store = temporary.store
    let manager = FileManager.default
    for folder in ["staging/import/version", "models/tiny/2", "models/ghost/1", "blobs/sha256/00"] {
      try manager.createDirectory(atPath: "\(store)/\(folder)", withIntermediateDirectories: true)
    }
    try write("x", to: "\(store)/staging/import/config.json")
    try write("x", to: "\(store)/models/tiny/2/config.json")
    try write("x", to: "\(store)/blobs/sha256/00/00ff")
    // Somebody else's files, where the store has folders only.
    try write("x", to: "\(store)/models/.DS_Store")
    try write("x", to: "\(store)/blobs/sha256/.DS_Store")
    let registry = try temporary.open()
    #expect(registry.swept.stagedImports == 1)
    #expect(registry.swept.versionFolders == 2)
    #expect(registry.swept.blobs == 1)
    #expect(try names(in: "\(store)/models") == [".DS_Store", "tiny"])
    #expect(try await registry.resolve("tiny").version == 1)
    #expect(try registry.inconsistencies().isEmpty)
  }

  @Test func `Blobs without their database are not swept: the start is refused`() async throws {
    let temporary = try TemporaryStore()
    do {
      let registry = try temporary.open()
      _ = try await registry.importModel(folder: temporary.folder("tiny"))
      try await registry.close()
    }
    for suffix in ["", "-wal", "-shm"] {
      try? FileManager.default.removeItem(atPath: "\(temporary.store)/registry.sqlite\(suffix)")
    }
    let error = #expect(throws: DataError.self) { try temporary.open() }
    #expect(error?.code == .dataLoss)
    #expect(try names(in: "\(temporary.store)/models/tiny/1").count == 3)
  }

  @Test func `A database that is none, or of a newer release, is refused`() async throws {
    let temporary = try TemporaryStore()
    try await temporary.open().close()
    let path = "\(temporary.store)/registry.sqlite"
    let database = try DatabaseQueue(path: path)
    try await database.write {
      try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('9 of tomorrow')")
    }
    try database.close()
    var error = #expect(throws: DataError.self) { try temporary.open() }
    #expect(error?.code == .failedPrecondition)
    #expect(error?.message.contains("newer release") == true)
    for suffix in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + suffix) }
    try write(String(repeating: "no database ", count: 1_000), to: path)
    error = #expect(throws: DataError.self) { try temporary.open() }
    #expect(error?.code == .dataLoss)
  }

  @Test func `The database is in WAL mode and durable, with the schema's constraints`()
    async throws
  {
    let temporary = try TemporaryStore()
    let registry = try temporary.open()
    _ = try await registry.importModel(folder: temporary.folder("tiny"))
    let database = try DatabaseQueue(path: "\(temporary.store)/registry.sqlite")
    let facts = try await database.read { database in
      [
        try String.fetchOne(database, sql: "PRAGMA journal_mode"),
        try String.fetchOne(database, sql: "PRAGMA integrity_check"),
        try Row.fetchOne(database, sql: "PRAGMA foreign_key_check")?.description,
      ]
    }
    #expect(facts == ["wal", "ok", nil])
    await #expect(throws: DatabaseError.self) {
      try await database.write {
        try $0.execute(sql: "INSERT INTO model_alias VALUES ('tiny', 'a', 9)")
      }
    }
    withExtendedLifetime(registry) {}
  }
}
