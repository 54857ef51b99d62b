import GRDB

/// The database of jobs.
///
/// Thread-safe: GRDB serializes writes and runs reads beside them on snapshots (WAL). Everything waits without
/// blocking a thread of the cooperative pool, `init` and `close` aside.
struct JobDatabase: Sendable {
  private let pool: DatabasePool
  private let path: String

  /// Opens or creates the database and brings its schema up to date; blocks.
  init(path: String, busyMilliseconds: Int) throws(JobStoreError) {
    self.path = path
    var configuration = Configuration()
    configuration.foreignKeysEnabled = true
    configuration.busyMode = .timeout(Double(busyMilliseconds) / 1_000)
    configuration.label = "llmos.jobs"
    do {
      pool = try DatabasePool(path: path, configuration: configuration)
      // GRDB opens WAL databases with NORMAL, under which a loss of power may undo a job whose creation was
      // already acknowledged.
      try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
      let isNewer = try pool.read { try JobSchema.migrator.hasBeenSuperseded($0) }
      guard !isNewer else {
        throw JobStoreError(
          .failedPrecondition,
          "open \(path): it was written by a newer release of llmos"
        )
      }
      try JobSchema.migrator.migrate(pool)
    } catch {
      throw Self.translate(error, "open \(path)")
    }
  }

  /// Runs a read beside other reads and the writer.
  func read<Value: Sendable>(
    _ operation: String,
    _ body: @escaping @Sendable (Database) throws -> Value
  ) async throws(JobStoreError) -> Value {
    do {
      return try await pool.read(body)
    } catch {
      throw Self.translate(error, operation)
    }
  }

  /// Runs one transaction, which survives a loss of power once this returns.
  func write<Value: Sendable>(
    _ operation: String,
    _ body: @escaping @Sendable (Database) throws -> Value
  ) async throws(JobStoreError) -> Value {
    do {
      return try await pool.write(body)
    } catch {
      throw Self.translate(error, operation)
    }
  }

  /// Runs one transaction, which survives the end of the process but perhaps not a loss of power: for the figures
  /// of steps, which would otherwise cost a flush of the disk each.
  func writeRelaxed<Value: Sendable>(
    _ operation: String,
    _ body: @escaping @Sendable (Database) throws -> Value
  ) async throws(JobStoreError) -> Value {
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

  /// Closes the connections; later use throws.
  func close() throws(JobStoreError) {
    do {
      try pool.close()
    } catch {
      throw Self.translate(error, "close \(path)")
    }
  }

  private static func translate(_ error: any Error, _ operation: String) -> JobStoreError {
    if let error = error as? JobStoreError { return error }
    if error is CancellationError {
      return JobStoreError(.cancelled, "\(operation): cancelled", cause: error)
    }
    guard let error = error as? DatabaseError else {
      return JobStoreError(.internalFailure, "\(operation): the database failed", cause: error)
    }
    let code: JobStoreError.Code =
      switch error.resultCode {
      case .SQLITE_CORRUPT, .SQLITE_NOTADB: .dataLoss
      case .SQLITE_FULL: .resourceExhausted
      case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_CANTOPEN: .failedPrecondition
      default: .internalFailure
      }
    let text = error.message ?? "code \(error.resultCode.rawValue)"
    return JobStoreError(code, "\(operation): database: \(text)", cause: error)
  }
}

/// The tables.
enum JobSchema {
  /// The schema's history; a released migration is never edited.
  static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1 jobs, attempts, events and metrics") { database in
      try database.execute(
        sql: """
          CREATE TABLE job (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            idempotency_key TEXT UNIQUE,
            request TEXT NOT NULL,
            specification TEXT NOT NULL,
            model TEXT NOT NULL,
            state TEXT NOT NULL
              CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
            error TEXT NOT NULL DEFAULT '',
            cancel_requested INTEGER NOT NULL DEFAULT 0,
            created_at_ms INTEGER NOT NULL,
            started_at_ms INTEGER,
            ended_at_ms INTEGER,
            not_before_ms INTEGER NOT NULL DEFAULT 0,
            failures INTEGER NOT NULL DEFAULT 0,
            progress TEXT NOT NULL,
            result_model TEXT,
            metrics TEXT NOT NULL DEFAULT '{}',
            reports TEXT NOT NULL DEFAULT '[]',
            cursor INTEGER NOT NULL DEFAULT 0,
            step_stride INTEGER NOT NULL DEFAULT 1
          ) STRICT;
          CREATE INDEX job_state ON job (state, number);
          CREATE INDEX job_model ON job (model, number);
          CREATE TABLE attempt (
            job TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
            number INTEGER NOT NULL CHECK (number > 0),
            outcome TEXT NOT NULL
              CHECK (outcome IN ('running', 'succeeded', 'failed', 'cancelled', 'interrupted')),
            started_at_ms INTEGER NOT NULL,
            ended_at_ms INTEGER,
            message TEXT NOT NULL DEFAULT '',
            PRIMARY KEY (job, number)
          ) STRICT, WITHOUT ROWID;
          CREATE TABLE event (
            job TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
            cursor INTEGER NOT NULL,
            time_ms INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            kind TEXT NOT NULL,
            body TEXT NOT NULL,
            PRIMARY KEY (job, cursor)
          ) STRICT, WITHOUT ROWID;
          CREATE TABLE step_metric (
            job TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
            step INTEGER NOT NULL,
            loss REAL,
            learning_rate REAL,
            gradient_norm REAL,
            tokens_per_second REAL,
            PRIMARY KEY (job, step)
          ) STRICT, WITHOUT ROWID;
          CREATE TABLE evaluation_metric (
            job TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
            name TEXT NOT NULL,
            step INTEGER NOT NULL,
            value REAL,
            PRIMARY KEY (job, name, step)
          ) STRICT, WITHOUT ROWID;
          """
      )
    }
    return migrator
  }
}
