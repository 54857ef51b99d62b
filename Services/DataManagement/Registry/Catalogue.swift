import Databases
import GRDB
import Store

/// The registry's part of the database: versions, their files and aliases.
struct Catalogue: Sendable {
  let database: StoreDatabase<DataError>
  let layout: StoreLayout

  /// The tables, and the blobs they refer to.
  static let schema = StoreSchema(
    migrations: [
      StoreMigration(
        "1 versions, files and aliases",
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
      ),
      StoreMigration(
        "2 metrics, lineage and the history of aliases",
        sql: """
          CREATE TABLE model_metric (
            model TEXT NOT NULL,
            version INTEGER NOT NULL,
            ordinal INTEGER NOT NULL,
            name TEXT NOT NULL,
            value REAL NOT NULL,
            PRIMARY KEY (model, version, ordinal),
            FOREIGN KEY (model, version) REFERENCES model_version (model, version) ON DELETE CASCADE
          ) STRICT, WITHOUT ROWID;
          CREATE TABLE model_lineage (
            model TEXT NOT NULL,
            version INTEGER NOT NULL,
            dataset TEXT NOT NULL,
            dataset_digest TEXT NOT NULL,
            job_id TEXT NOT NULL,
            base_model TEXT NOT NULL,
            base_model_digest TEXT NOT NULL,
            configuration_json TEXT NOT NULL,
            PRIMARY KEY (model, version),
            FOREIGN KEY (model, version) REFERENCES model_version (model, version) ON DELETE CASCADE
          ) STRICT, WITHOUT ROWID;
          CREATE TABLE alias_change (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            model TEXT NOT NULL,
            alias TEXT NOT NULL,
            version INTEGER,
            previous INTEGER,
            action TEXT NOT NULL,
            at_ms INTEGER NOT NULL
          ) STRICT;
          CREATE INDEX alias_change_alias ON alias_change (model, alias, sequence);
          """
      ),
    ],
    blobsInUse: { try String.fetchSet($0, sql: "SELECT DISTINCT sha256 FROM model_file") }
  )
}

// MARK: - Statements

extension Catalogue {
  /// All versions, or those of one model, by name and version.
  func versions(_ database: Database, of model: String? = nil) throws -> [ModelVersion] {
    let filter = model == nil ? "" : "WHERE model = ?"
    let arguments: StatementArguments = model.map { [$0] } ?? []
    var files: [VersionKey: [StoredFile]] = [:]
    let fileRows = try Row.fetchCursor(
      database,
      sql: "SELECT * FROM model_file \(filter) ORDER BY model, version, name",
      arguments: arguments
    )
    while let row = try fileRows.next() {
      let file = StoredFile(
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
    let metrics = try metrics(database, filter, arguments)
    let lineages = try lineages(database, filter, arguments)
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
        createdAtMilliseconds: row["created_at_ms"],
        metrics: metrics[key] ?? [],
        lineage: lineages[key]
      )
    }
  }

  private func metrics(
    _ database: Database,
    _ filter: String,
    _ arguments: StatementArguments
  ) throws -> [VersionKey: [ModelMetric]] {
    var metrics: [VersionKey: [ModelMetric]] = [:]
    let rows = try Row.fetchCursor(
      database,
      sql: "SELECT * FROM model_metric \(filter) ORDER BY model, version, ordinal",
      arguments: arguments
    )
    while let row = try rows.next() {
      metrics[VersionKey(row), default: []].append(
        ModelMetric(name: row["name"], value: row["value"])
      )
    }
    return metrics
  }

  private func lineages(
    _ database: Database,
    _ filter: String,
    _ arguments: StatementArguments
  ) throws -> [VersionKey: ModelLineage] {
    var lineages: [VersionKey: ModelLineage] = [:]
    let rows = try Row.fetchCursor(
      database,
      sql: "SELECT * FROM model_lineage \(filter)",
      arguments: arguments
    )
    while let row = try rows.next() {
      lineages[VersionKey(row)] = ModelLineage(
        dataset: row["dataset"],
        datasetDigest: row["dataset_digest"],
        jobID: row["job_id"],
        baseModel: row["base_model"],
        baseModelDigest: row["base_model_digest"],
        configurationJSON: row["configuration_json"]
      )
    }
    return lineages
  }

  /// The version a reference means; throws `notFound`.
  func resolve(_ database: Database, _ reference: ModelReference) throws -> ModelVersion {
    let versions = try versions(database, of: reference.name)
    guard let newest = versions.last else {
      throw DataError(.notFound, "model \(reference.name) is not registered")
    }
    switch reference.selector {
    case .standard:
      let production = ModelReference.productionAlias
      return versions.first { $0.aliases.contains(production) } ?? newest
    case .version(let number):
      guard let version = versions.first(where: { $0.version == number }) else {
        throw DataError(
          .notFound,
          "model \(reference.name) has no version \(number); its newest is \(newest.version)"
        )
      }
      return version
    case .alias(let alias):
      guard let version = versions.first(where: { $0.aliases.contains(alias) }) else {
        let known = versions.flatMap(\.aliases).sorted().joined(separator: ", ")
        throw DataError(
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
    for (ordinal, metric) in version.metrics.enumerated() {
      try database.execute(
        sql: "INSERT INTO model_metric VALUES (?, ?, ?, ?, ?)",
        arguments: [version.name, version.version, ordinal, metric.name, metric.value]
      )
    }
    guard let lineage = version.lineage else { return }
    try database.execute(
      sql: "INSERT INTO model_lineage VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      arguments: [
        version.name, version.version, lineage.dataset, lineage.datasetDigest, lineage.jobID,
        lineage.baseModel, lineage.baseModelDigest, lineage.configurationJSON,
      ]
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
