import GRDB

/// The database of the registry: versions, their files and aliases.
///
/// Thread-safe: GRDB serializes writes and runs reads beside them on snapshots (WAL). The `async` functions
/// wait without blocking; the others block.
struct Catalogue: Sendable {
  private let pool: DatabasePool
  private let layout: StoreLayout

  /// Opens or creates the database and brings its schema up to date.
  init(layout: StoreLayout, busyMilliseconds: Int) throws(RegistryError) {
    self.layout = layout
    var configuration = Configuration()
    configuration.foreignKeysEnabled = true
    configuration.busyMode = .timeout(Double(busyMilliseconds) / 1_000)
    configuration.label = "llmos.registry"
    do {
      pool = try DatabasePool(path: layout.database, configuration: configuration)
      // GRDB opens WAL databases with NORMAL, under which a loss of power may undo an import that was
      // already acknowledged.
      try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
      let isNewer = try pool.read { try Self.migrator.hasBeenSuperseded($0) }
      guard !isNewer else {
        throw RegistryError(
          .failedPrecondition,
          "open \(layout.database): it was written by a newer release of llmos"
        )
      }
      try Self.migrator.migrate(pool)
    } catch {
      throw Self.translate(error, "open \(layout.database)")
    }
  }

  /// The schema's history; a released migration is never edited.
  private static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1 versions, files and aliases") { database in
      try database.execute(
        sql: """
          CREATE TABLE model_version (
            model TEXT NOT NULL,
            version INTEGER NOT NULL CHECK (version > 0),
            digest TEXT NOT NULL,
            task TEXT NOT NULL,
            architecture TEXT NOT NULL,
            context_tokens INTEGER NOT NULL,
            created_at_ms INTEGER NOT NULL,
            PRIMARY KEY (model, version),
            UNIQUE (model, digest)
          ) STRICT, WITHOUT ROWID;
          CREATE TABLE model_file (
            model TEXT NOT NULL,
            version INTEGER NOT NULL,
            name TEXT NOT NULL,
            size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
            sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
            PRIMARY KEY (model, version, name),
            FOREIGN KEY (model, version) REFERENCES model_version (model, version) ON DELETE CASCADE
          ) STRICT, WITHOUT ROWID;
          CREATE INDEX model_file_sha256 ON model_file (sha256);
          CREATE TABLE model_alias (
            model TEXT NOT NULL,
            alias TEXT NOT NULL,
            version INTEGER NOT NULL,
            PRIMARY KEY (model, alias),
            FOREIGN KEY (model, version) REFERENCES model_version (model, version) ON DELETE RESTRICT
          ) STRICT, WITHOUT ROWID;
          CREATE INDEX model_alias_version ON model_alias (model, version);
          """
      )
    }
    return migrator
  }

  /// Runs a read beside other reads and the writer, without blocking the caller's thread.
  func read<Value: Sendable>(
    _ operation: String,
    _ body: @escaping @Sendable (Database) throws -> Value
  ) async throws(RegistryError) -> Value {
    do {
      return try await pool.read(body)
    } catch {
      throw Self.translate(error, operation)
    }
  }

  /// Runs one transaction without blocking the caller's thread.
  func write<Value: Sendable>(
    _ operation: String,
    _ body: @escaping @Sendable (Database) throws -> Value
  ) async throws(RegistryError) -> Value {
    do {
      return try await pool.write(body)
    } catch {
      throw Self.translate(error, operation)
    }
  }

  /// Runs a read and blocks until it is done.
  func readBlocking<Value>(
    _ operation: String,
    _ body: (Database) throws -> Value
  ) throws(RegistryError) -> Value {
    do {
      return try pool.read(body)
    } catch {
      throw Self.translate(error, operation)
    }
  }

  /// Runs one transaction and blocks until it is durable.
  func writeBlocking<Value>(
    _ operation: String,
    _ body: (Database) throws -> Value
  ) throws(RegistryError) -> Value {
    do {
      return try pool.write(body)
    } catch {
      throw Self.translate(error, operation)
    }
  }

  /// Closes the connections; later use throws.
  func close() throws(RegistryError) {
    do {
      try pool.close()
    } catch {
      throw Self.translate(error, "close \(layout.database)")
    }
  }

  private static func translate(_ error: any Error, _ operation: String) -> RegistryError {
    if let error = error as? RegistryError { return error }
    if error is CancellationError {
      return RegistryError(.cancelled, "\(operation): cancelled", cause: error)
    }
    guard let error = error as? DatabaseError else {
      return RegistryError(.internalFailure, "\(operation): the database failed", cause: error)
    }
    let code: RegistryError.Code =
      switch error.resultCode {
      case .SQLITE_CORRUPT, .SQLITE_NOTADB: .dataLoss
      case .SQLITE_FULL: .resourceExhausted
      case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_CANTOPEN: .failedPrecondition
      default: .internalFailure
      }
    let text = error.message ?? "code \(error.resultCode.rawValue)"
    return RegistryError(code, "\(operation): database: \(text)", cause: error)
  }
}

// MARK: - Statements

extension Catalogue {
  /// All versions, or those of one model, by name and version.
  func versions(_ database: Database, of model: String? = nil) throws -> [ModelVersion] {
    let filter = model == nil ? "" : "WHERE model = ?"
    let arguments: StatementArguments = model.map { [$0] } ?? []
    var files: [VersionKey: [ModelFile]] = [:]
    let fileRows = try Row.fetchCursor(
      database,
      sql: "SELECT * FROM model_file \(filter) ORDER BY model, version, name",
      arguments: arguments
    )
    while let row = try fileRows.next() {
      let file = ModelFile(
        name: row["name"],
        sizeBytes: row["size_bytes"],
        sha256: row["sha256"]
      )
      files[VersionKey(row), default: []].append(file)
    }
    var aliases: [VersionKey: [String]] = [:]
    let aliasRows = try Row.fetchCursor(
      database,
      sql: "SELECT * FROM model_alias \(filter) ORDER BY alias",
      arguments: arguments
    )
    while let row = try aliasRows.next() {
      aliases[VersionKey(row), default: []].append(row["alias"])
    }
    let rows = try Row.fetchAll(
      database,
      sql: "SELECT * FROM model_version \(filter) ORDER BY model, version",
      arguments: arguments
    )
    return rows.map { row in
      let key = VersionKey(row)
      return ModelVersion(
        name: key.model,
        version: key.version,
        digest: row["digest"],
        description: ModelDescription(
          task: row["task"],
          architecture: row["architecture"],
          contextTokens: row["context_tokens"]
        ),
        files: files[key] ?? [],
        path: layout.version(key.version, of: key.model),
        aliases: aliases[key] ?? [],
        createdAtMilliseconds: row["created_at_ms"]
      )
    }
  }

  /// The version a reference means; throws `notFound`.
  func resolve(_ database: Database, _ reference: ModelReference) throws -> ModelVersion {
    let versions = try versions(database, of: reference.name)
    guard let newest = versions.last else {
      throw RegistryError(.notFound, "model \(reference.name) is not registered")
    }
    switch reference.selector {
    case .standard:
      let production = ModelReference.productionAlias
      return versions.first { $0.aliases.contains(production) } ?? newest
    case .version(let number):
      guard let version = versions.first(where: { $0.version == number }) else {
        throw RegistryError(
          .notFound,
          "model \(reference.name) has no version \(number); its newest is \(newest.version)"
        )
      }
      return version
    case .alias(let alias):
      guard let version = versions.first(where: { $0.aliases.contains(alias) }) else {
        let known = versions.flatMap(\.aliases).sorted().joined(separator: ", ")
        throw RegistryError(
          .notFound,
          "model \(reference.name) has no alias \(alias); it has \(known.isEmpty ? "none" : known)"
        )
      }
      return version
    }
  }

  /// Adds a version and its files.
  func insert(_ database: Database, _ version: ModelVersion) throws {
    try database.execute(
      sql: "INSERT INTO model_version VALUES (?, ?, ?, ?, ?, ?, ?)",
      arguments: [
        version.name, version.version, version.digest, version.description.task,
        version.description.architecture, version.description.contextTokens,
        version.createdAtMilliseconds,
      ]
    )
    for file in version.files {
      try database.execute(
        sql: "INSERT INTO model_file VALUES (?, ?, ?, ?, ?)",
        arguments: [version.name, version.version, file.name, file.sizeBytes, file.sha256]
      )
    }
  }

  /// Points an alias at a version.
  func setAlias(_ database: Database, _ alias: String, of model: String, to version: UInt32) throws
  {
    try database.execute(
      sql: """
        INSERT INTO model_alias (model, alias, version) VALUES (?, ?, ?)
        ON CONFLICT (model, alias) DO UPDATE SET version = excluded.version
        """,
      arguments: [model, alias, version]
    )
  }

  /// Removes an alias.
  func removeAlias(_ database: Database, _ alias: String, of model: String) throws {
    try database.execute(
      sql: "DELETE FROM model_alias WHERE model = ? AND alias = ?",
      arguments: [model, alias]
    )
  }

  private struct VersionKey: Hashable {
    let model: String
    let version: UInt32

    init(_ row: Row) {
      model = row["model"]
      version = row["version"]
    }
  }
}
