package import GRDB

/// One step of the schema's history; a released one is never edited.
package struct StoreMigration: Sendable {
  /// Its name in the database; unique among all modules.
  package let name: String
  /// The statements.
  package let sql: String

  /// A migration from its statements.
  package init(_ name: String, sql: String) {
    self.name = name
    self.sql = sql
  }
}

/// What one module keeps in the store.
package struct StoreSchema: Sendable {
  /// The history of its tables.
  package let migrations: [StoreMigration]
  /// The SHA-256 of all blobs its rows refer to; others are removed at start.
  package let blobsInUse: @Sendable (Database) throws -> Set<String>

  /// A schema from its parts.
  package init(
    migrations: [StoreMigration],
    blobsInUse: @escaping @Sendable (Database) throws -> Set<String>
  ) {
    self.migrations = migrations
    self.blobsInUse = blobsInUse
  }
}

/// The database of the store, shared by the modules of the service.
///
/// Thread-safe: GRDB serializes writes and runs reads beside them on snapshots (WAL). The `async` functions
/// wait without blocking; the others block.
package struct StoreDatabase: Sendable {
  private let pool: DatabasePool
  private let path: String

  /// Opens or creates the database and brings its schema up to date.
  package init(path: String, schemas: [StoreSchema], busyMilliseconds: Int) throws(DataError) {
    self.path = path
    var configuration = Configuration()
    configuration.foreignKeysEnabled = true
    configuration.busyMode = .timeout(Double(busyMilliseconds) / 1_000)
    configuration.label = "llmos.data"
    var migrator = DatabaseMigrator()
    for migration in schemas.flatMap(\.migrations) {
      migrator.registerMigration(migration.name) { try $0.execute(sql: migration.sql) }
    }
    do {
      pool = try DatabasePool(path: path, configuration: configuration)
      // GRDB opens WAL databases with NORMAL, under which a loss of power may undo an import that was
      // already acknowledged.
      try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
      let isNewer = try pool.read { try migrator.hasBeenSuperseded($0) }
      guard !isNewer else {
        throw DataError(
          .failedPrecondition,
          "open \(path): it was written by a newer release of llmos"
        )
      }
      try migrator.migrate(pool)
    } catch {
      throw Self.translate(error, "open \(path)")
    }
  }

  /// Runs a read beside other reads and the writer, without blocking the caller's thread.
  package func read<Value: Sendable>(
    _ operation: String,
    _ body: @escaping @Sendable (Database) throws -> Value
  ) async throws(DataError) -> Value {
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
  ) async throws(DataError) -> Value {
    do {
      return try await pool.write(body)
    } catch {
      throw Self.translate(error, operation)
    }
  }

  /// Runs a read and blocks until it is done.
  package func readBlocking<Value>(
    _ operation: String,
    _ body: (Database) throws -> Value
  ) throws(DataError) -> Value {
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
  ) throws(DataError) -> Value {
    do {
      return try pool.write(body)
    } catch {
      throw Self.translate(error, operation)
    }
  }

  /// Closes the connections; later use throws.
  package func close() throws(DataError) {
    do {
      try pool.close()
    } catch {
      throw Self.translate(error, "close \(path)")
    }
  }

  private static func translate(_ error: any Error, _ operation: String) -> DataError {
    if let error = error as? DataError { return error }
    if error is CancellationError {
      return DataError(.cancelled, "\(operation): cancelled", cause: error)
    }
    guard let error = error as? DatabaseError else {
      return DataError(.internalFailure, "\(operation): the database failed", cause: error)
    }
    let code: DataError.Code =
      switch error.resultCode {
      case .SQLITE_CORRUPT, .SQLITE_NOTADB: .dataLoss
      case .SQLITE_FULL: .resourceExhausted
      case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_CANTOPEN: .failedPrecondition
      default: .internalFailure
      }
    let text = error.message ?? "code \(error.resultCode.rawValue)"
    return DataError(code, "\(operation): database: \(text)", cause: error)
  }
}
