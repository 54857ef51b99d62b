package import GRDB

/// The SQLite database of a store.
///
/// What a transaction wrote survives a loss of power once it is acknowledged, unless it is a relaxed one.
///
/// Thread-safe: GRDB serializes writes and runs reads beside them on snapshots (WAL). The `async` functions
/// wait without blocking a thread of the cooperative pool; the others block.
package struct StoreDatabase<Failure: DatabaseFailure>: Sendable {
  /// Databases of up to so many bytes are read whole when they are opened, to find damage before it does harm:
  /// what a damaged database seems not to know would be swept away as left over.
  package static var checkedBytesMax: Int { 256 << 20 }

  private let pool: DatabasePool
  private let path: String

  /// Opens or creates the database and brings its schema up to date; blocks.
  ///
  /// - Parameters:
  ///   - path: the file, in a folder that exists; only one process may have it open (see `FileLock`).
  ///   - label: its name in logs, such as `llmos.jobs`.
  ///   - migrations: the schema's history, in the same order at all times.
  ///   - busyMilliseconds: how long a statement waits for a lock.
  /// - Throws: `damaged`, `newer`, `forbidden`, `full` or `failed`.
  package init(
    path: String,
    label: String,
    migrations: [StoreMigration],
    busyMilliseconds: Int
  ) throws(Failure) {
    self.path = path
    var configuration = Configuration()
    configuration.foreignKeysEnabled = true
    configuration.busyMode = .timeout(Double(busyMilliseconds) / 1_000)
    configuration.label = label
    var migrator = DatabaseMigrator()
    for migration in migrations {
      migrator.registerMigration(migration.name) { try $0.execute(sql: migration.sql) }
    }
    do {
      pool = try DatabasePool(path: path, configuration: configuration)
      // GRDB opens WAL databases with NORMAL, under which a loss of power may undo what was already
      // acknowledged.
      try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
      if let damage = try pool.read(Self.damage) {
        throw Failure.database(
          .damaged,
          "open \(path): the database is damaged: \(damage)",
          cause: nil
        )
      }
      guard try !pool.read(migrator.hasBeenSuperseded) else {
        let message = "open \(path): it was written by a newer release of llmos"
        throw Failure.database(.newer, message, cause: nil)
      }
      try migrator.migrate(pool)
    } catch {
      throw Self.translate(error, "open \(path)")
    }
  }

  /// What is wrong with the pages and rows; nil if nothing is, or the database is too large to look.
  private static func damage(_ database: Database) throws -> String? {
    let pages = try Int.fetchOne(database, sql: "PRAGMA page_count") ?? 0
    let pageBytes = try Int.fetchOne(database, sql: "PRAGMA page_size") ?? 0
    guard pages * pageBytes <= checkedBytesMax else { return nil }
    let found = try String.fetchOne(database, sql: "PRAGMA quick_check(1)")
    return found == "ok" ? nil : found ?? "no answer"
  }

  /// Runs a read beside other reads and the writer, without blocking the caller's thread.
  package func read<Value: Sendable>(
    _ operation: String,
    _ body: @escaping @Sendable (Database) throws -> Value
  ) async throws(Failure) -> Value {
    do {
      return try await pool.read(body)
    } catch {
      throw Self.translate(error, operation)
    }
  }

  /// Runs one transaction without blocking the caller's thread.
  package func write<Value: Sendable>(
    _ operation: String,
    _ body: @escaping @Sendable (Database) throws -> Value
  ) async throws(Failure) -> Value {
    do {
      return try await pool.write(body)
    } catch {
      throw Self.translate(error, operation)
    }
  }

  /// Runs one transaction, which survives the end of the process but perhaps not a loss of power: for what would
  /// otherwise cost a flush of the disk each, and can be lost.
  package func writeRelaxed<Value: Sendable>(
    _ operation: String,
    _ body: @escaping @Sendable (Database) throws -> Value
  ) async throws(Failure) -> Value {
    do {
      return try await pool.writeWithoutTransaction { database in
        try database.execute(sql: "PRAGMA synchronous = NORMAL")
        defer {
          // Only fails if the connection is closed, after which nothing is written.
          try? database.execute(sql: "PRAGMA synchronous = FULL")
        }
        var value: Value?
        try database.inTransaction {
          value = try body(database)
          return .commit
        }
        guard let value else { throw DatabaseError(message: "the transaction did not run") }
        return value
      }
    } catch {
      throw Self.translate(error, operation)
    }
  }

  /// Runs a read and blocks until it is done.
  package func readBlocking<Value>(
    _ operation: String,
    _ body: (Database) throws -> Value
  ) throws(Failure) -> Value {
    do {
      return try pool.read(body)
    } catch {
      throw Self.translate(error, operation)
    }
  }

  /// Runs one transaction and blocks until it is durable.
  package func writeBlocking<Value>(
    _ operation: String,
    _ body: (Database) throws -> Value
  ) throws(Failure) -> Value {
    do {
      return try pool.write(body)
    } catch {
      throw Self.translate(error, operation)
    }
  }

  /// Closes the connections once running reads and writes have ended; later use throws.
  package func close() throws(Failure) {
    do {
      try pool.close()
    } catch {
      throw Self.translate(error, "close \(path)")
    }
  }

  /// The module's error; those that a body threw stay as they are.
  private static func translate(_ error: any Error, _ operation: String) -> Failure {
    if let error = error as? Failure { return error }
    if error is CancellationError {
      return .database(.cancelled, "\(operation): cancelled", cause: error)
    }
    guard let error = error as? DatabaseError else {
      return .database(.failed, "\(operation): the database failed", cause: error)
    }
    let problem: DatabaseProblem =
      switch error.resultCode {
      case .SQLITE_CORRUPT, .SQLITE_NOTADB: .damaged
      case .SQLITE_FULL: .full
      case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_CANTOPEN: .forbidden
      default: .failed
      }
    let text = error.message ?? "code \(error.resultCode.rawValue)"
    return .database(problem, "\(operation): database: \(text)", cause: error)
  }
}
