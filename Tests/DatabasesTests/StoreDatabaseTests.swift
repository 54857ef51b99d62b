import Databases
import Foundation
import GRDB
import Testing

/// The errors of a module that keeps a database.
struct TestError: DatabaseFailure {
  var problem: DatabaseProblem
  var message: String

  static func database(
    _ problem: DatabaseProblem,
    _ message: String,
    cause: (any Error)?
  ) -> TestError {
    TestError(problem: problem, message: message)
  }
}

/// A folder with a database; removed with the object.
final class TemporaryDatabase: Sendable {
  let root: String
  var path: String { "\(root)/test.sqlite" }

  init() throws {
    root = FileManager.default.temporaryDirectory.path + "/database-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: root) }

  static let migrations = [
    StoreMigration(
      "1 table",
      sql: """
        CREATE TABLE parent (id INTEGER PRIMARY KEY) STRICT;
        CREATE TABLE child (
          id INTEGER PRIMARY KEY,
          parent INTEGER NOT NULL REFERENCES parent (id),
          text TEXT NOT NULL
        ) STRICT;
        """
    )
  ]

  func open(
    _ migrations: [StoreMigration] = migrations
  ) throws(TestError) -> StoreDatabase<TestError> {
    try StoreDatabase(path: path, label: "test", migrations: migrations, busyMilliseconds: 100)
  }

  /// Fills and closes the database, so that all is in its file.
  func fill(rows: Int) throws {
    let database = try open()
    try database.writeBlocking("fill") { database in
      try database.execute(sql: "INSERT INTO parent VALUES (1)")
      for row in 0..<rows {
        let text = String(repeating: "x", count: 500)
        try database.execute(sql: "INSERT INTO child VALUES (?, 1, ?)", arguments: [row, text])
      }
    }
    try database.close()
    // GRDB leaves the log when it closes.
    let queue = try DatabaseQueue(path: path)
    try queue.inDatabase { try $0.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)") }
    try queue.close()
  }
}

private func settings(_ database: Database) throws -> [String] {
  try ["journal_mode", "synchronous", "foreign_keys"].map {
    try String.fetchOne(database, sql: "PRAGMA \($0)") ?? ""
  }
}

@Suite struct StoreDatabaseTests {
  @Test func `It is in WAL mode, durable, and keeps the schema's references`() async throws {
    let temporary = try TemporaryDatabase()
    let database = try temporary.open()
    #expect(try await database.write("look", settings) == ["wal", "2", "1"])
    let error = await #expect(throws: TestError.self) {
      try await database.write("add child") {
        try $0.execute(sql: "INSERT INTO child VALUES (1, 9, '')")
      }
    }
    #expect(error?.problem == .failed)
    #expect(error?.message.hasPrefix("add child: database: FOREIGN KEY") == true)
  }

  @Test func `A relaxed write is one transaction, and those after it are durable again`()
    async throws
  {
    let temporary = try TemporaryDatabase()
    let database = try temporary.open()
    let during = try await database.writeRelaxed("relaxed") { database in
      try database.execute(sql: "INSERT INTO parent VALUES (1)")
      return try settings(database)
    }
    #expect(during == ["wal", "1", "1"])
    await #expect(throws: TestError.self) {
      try await database.writeRelaxed("relaxed") { database in
        try database.execute(sql: "INSERT INTO parent VALUES (2)")
        throw CancellationError()
      }
    }
    #expect(try await database.write("look", settings) == ["wal", "2", "1"])
    let count = try await database.read("count") {
      try Int.fetchOne($0, sql: "SELECT count(*) FROM parent")
    }
    #expect(count == 1)
  }

  @Test func `A body's own error comes out as it is, and undoes its transaction`() async throws {
    let temporary = try TemporaryDatabase()
    let database = try temporary.open()
    let mine = TestError(problem: .full, message: "mine")
    let error = #expect(throws: TestError.self) {
      try database.writeBlocking("write") { database in
        try database.execute(sql: "INSERT INTO parent VALUES (1)")
        throw mine
      }
    }
    #expect(error?.message == "mine")
    #expect(
      try database.readBlocking("count") {
        try Int.fetchOne($0, sql: "SELECT count(*) FROM parent")
      }
        == 0
    )
    let cancelled = await #expect(throws: TestError.self) {
      try await database.read("read") { _ in throw CancellationError() }
    }
    #expect(cancelled?.problem == .cancelled)
  }

  @Test func `Migrations run once, in order, and a database of a newer release is refused`() throws
  {
    let temporary = try TemporaryDatabase()
    try temporary.fill(rows: 3)
    let second = StoreMigration("2 column", sql: "ALTER TABLE parent ADD COLUMN name TEXT")
    let next = try temporary.open(TemporaryDatabase.migrations + [second])
    #expect(
      try next.readBlocking("count") { try Int.fetchOne($0, sql: "SELECT count(*) FROM child") }
        == 3
    )
    try next.close()
    let error = #expect(throws: TestError.self) { try temporary.open() }
    #expect(error?.problem == .newer)
    #expect(error?.message.contains(temporary.path) == true)
  }

  @Test func `A migration that fails leaves what was there`() throws {
    let temporary = try TemporaryDatabase()
    try temporary.fill(rows: 3)
    let bad = StoreMigration("2 bad", sql: "DELETE FROM child; SELECT nothing FROM nowhere")
    let error = #expect(throws: TestError.self) {
      try temporary.open(TemporaryDatabase.migrations + [bad])
    }
    #expect(error?.problem == .failed)
    let database = try temporary.open()
    #expect(
      try database.readBlocking("count") { try Int.fetchOne($0, sql: "SELECT count(*) FROM child") }
        == 3
    )
  }

  @Test func `What is no database, or has a damaged page in its midst, is refused`() throws {
    let temporary = try TemporaryDatabase()
    try temporary.fill(rows: 1_000)
    let whole = try #require(FileManager.default.contents(atPath: temporary.path))
    try #require(whole.count > 64 * 4_096)
    var damaged = whole
    damaged.replaceSubrange(40 * 4_096..<41 * 4_096, with: Data(count: 4_096))
    for content in [damaged, whole.prefix(40 * 4_096), Data("no database ".utf8) + whole] {
      for suffix in ["-wal", "-shm"] {
        try? FileManager.default.removeItem(atPath: temporary.path + suffix)
      }
      try content.write(to: URL(filePath: temporary.path))
      let error = #expect(throws: TestError.self) { try temporary.open() }
      #expect(error?.problem == .damaged, "\(error?.message ?? "")")
      #expect(error?.message.contains(temporary.path) == true)
    }
    try whole.write(to: URL(filePath: temporary.path))
    try temporary.open().close()
  }

  @Test func `A file that cannot be opened is forbidden`() throws {
    let temporary = try TemporaryDatabase()
    try FileManager.default.createDirectory(
      atPath: temporary.path,
      withIntermediateDirectories: true
    )
    let error = #expect(throws: TestError.self) { try temporary.open() }
    #expect(error?.problem == .forbidden)
  }

  @Test func `A disk that is full is said to be, and what was there stays`() throws {
    let temporary = try TemporaryDatabase()
    try temporary.fill(rows: 10)
    let database = try temporary.open()
    let error = #expect(throws: TestError.self) {
      try database.writeBlocking("add rows") { database in
        // SQLite's own bound stands in for the disk's.
        try database.execute(sql: "PRAGMA max_page_count = 20")
        for row in 100..<1_000 {
          let text = String(repeating: "y", count: 500)
          try database.execute(sql: "INSERT INTO child VALUES (?, 1, ?)", arguments: [row, text])
        }
      }
    }
    #expect(error?.problem == .full)
    #expect(error?.message.hasPrefix("add rows: database: ") == true)
    #expect(
      try database.readBlocking("count") { try Int.fetchOne($0, sql: "SELECT count(*) FROM child") }
        == 10
    )
  }

  @Test func `Another connection that writes is waited for, and then said to hold it`() throws {
    let temporary = try TemporaryDatabase()
    let database = try temporary.open()
    let other = try DatabaseQueue(path: temporary.path)
    try other.inDatabase { connection in
      try connection.execute(sql: "BEGIN IMMEDIATE")
      let error = #expect(throws: TestError.self) {
        try database.writeBlocking("write") { try $0.execute(sql: "INSERT INTO parent VALUES (1)") }
      }
      #expect(error?.problem == .failed)
      #expect(error?.message.contains("locked") == true)
      try connection.execute(sql: "COMMIT")
    }
    try database.writeBlocking("write") { try $0.execute(sql: "INSERT INTO parent VALUES (1)") }
  }

  @Test(arguments: 0..<4)
  func `Killed at a random moment, every acknowledged transaction is there and none is half there`(
    round: Int
  ) async throws {
    let temporary = try TemporaryDatabase()
    let microseconds = Int.random(in: 0..<40_000)
    let (path, notes) = (temporary.path, "\(temporary.root)/acknowledged")
    await #expect(processExitsWith: .signal(SIGKILL), "after \(microseconds) µs") {
      [path = path as String, notes = notes as String, microseconds = microseconds as Int] in
      let database = try StoreDatabase<TestError>(
        path: path,
        label: "test",
        migrations: TemporaryDatabase.migrations,
        busyMilliseconds: 100
      )
      try Data().write(to: URL(filePath: notes))
      let file = try FileHandle(forWritingTo: URL(filePath: notes))
      DispatchQueue.global().asyncAfter(deadline: .now() + .microseconds(microseconds)) {
        kill(getpid(), SIGKILL)
      }
      for number in 0..<1_000_000 {
        try await database.write("add") { database in
          try database.execute(sql: "INSERT INTO parent VALUES (?)", arguments: [number])
          try database.execute(
            sql: "INSERT INTO child VALUES (?1, ?1, '')",
            arguments: [number]
          )
        }
        try file.write(contentsOf: Data("x".utf8))
      }
    }
    let acknowledged = FileManager.default.contents(atPath: notes)?.count ?? 0
    let database = try temporary.open()
    let counts = try database.readBlocking("count") { database in
      try ["parent", "child"].map {
        try Int.fetchOne(database, sql: "SELECT count(*) FROM \($0)") ?? -1
      }
    }
    #expect(counts[0] == counts[1] && counts[0] >= acknowledged, "after \(microseconds) µs")
  }
}
