import Databases
import GRDB
import Store

/// The datasets' part of the database: versions, splits, label counts and shards.
struct DatasetCatalogue: Sendable {
  let database: StoreDatabase<DataError>

  /// The tables, and the blobs they refer to.
  static let schema = StoreSchema(
    migrations: [
      StoreMigration(
        "datasets 1 versions, splits, labels and shards",
        sql: """
          CREATE TABLE dataset (
            name TEXT PRIMARY KEY,
            last_version INTEGER NOT NULL CHECK (last_version >= 0)
          ) STRICT, WITHOUT ROWID;
          CREATE TABLE dataset_version (
            dataset TEXT NOT NULL REFERENCES dataset (name),
            version INTEGER NOT NULL CHECK (version > 0),
            digest TEXT NOT NULL CHECK (length(digest) = 64),
            parent INTEGER,
            kind TEXT NOT NULL,
            tag_scheme TEXT,
            origin TEXT NOT NULL,
            created_at_ms INTEGER NOT NULL,
            bad_rows INTEGER NOT NULL,
            PRIMARY KEY (dataset, version),
            UNIQUE (dataset, digest)
          ) STRICT, WITHOUT ROWID;
          CREATE TABLE dataset_split (
            dataset TEXT NOT NULL,
            version INTEGER NOT NULL,
            split TEXT NOT NULL,
            row_count INTEGER NOT NULL CHECK (row_count > 0),
            token_count INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
            lengths TEXT NOT NULL,
            index_sha256 TEXT NOT NULL CHECK (length(index_sha256) = 64),
            index_bytes INTEGER NOT NULL,
            PRIMARY KEY (dataset, version, split),
            FOREIGN KEY (dataset, version)
              REFERENCES dataset_version (dataset, version) ON DELETE CASCADE
          ) STRICT, WITHOUT ROWID;
          CREATE TABLE dataset_label (
            dataset TEXT NOT NULL,
            version INTEGER NOT NULL,
            split TEXT NOT NULL,
            is_entity INTEGER NOT NULL CHECK (is_entity IN (0, 1)),
            label TEXT NOT NULL,
            label_count INTEGER NOT NULL,
            PRIMARY KEY (dataset, version, split, is_entity, label),
            FOREIGN KEY (dataset, version, split)
              REFERENCES dataset_split (dataset, version, split) ON DELETE CASCADE
          ) STRICT, WITHOUT ROWID;
          CREATE TABLE dataset_shard (
            dataset TEXT NOT NULL,
            version INTEGER NOT NULL,
            ordinal INTEGER NOT NULL CHECK (ordinal >= 0),
            sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
            size_bytes INTEGER NOT NULL,
            PRIMARY KEY (dataset, version, ordinal),
            FOREIGN KEY (dataset, version)
              REFERENCES dataset_version (dataset, version) ON DELETE CASCADE
          ) STRICT, WITHOUT ROWID;
          """
      )
    ],
    blobsInUse: {
      try String.fetchSet(
        $0,
        sql: "SELECT sha256 FROM dataset_shard UNION SELECT index_sha256 FROM dataset_split"
      )
    }
  )

  /// All versions by name and version, without labels and shards; splits have rows, tokens and bytes.
  func summaries(_ database: Database) throws -> [DatasetVersion] {
    try Row.fetchAll(database, sql: "SELECT * FROM dataset_version ORDER BY dataset, version")
      .map { row in try version(database, row, isWhole: false) }
  }

  /// What a reference means, whole; throws `notFound`.
  func resolve(_ database: Database, _ reference: DatasetReference) throws -> DatasetVersion {
    let newest = try UInt32.fetchOne(
      database,
      sql: "SELECT max(version) FROM dataset_version WHERE dataset = ?",
      arguments: [reference.name]
    )
    guard let newest else {
      throw DataError(.notFound, "there is no dataset \(reference.name)")
    }
    let row = try Row.fetchOne(
      database,
      sql: "SELECT * FROM dataset_version WHERE dataset = ? AND version = ?",
      arguments: [reference.name, reference.version ?? newest]
    )
    guard let row else {
      throw DataError(
        .notFound,
        "dataset \(reference.name) has no version \(reference.version ?? newest); "
          + "its newest is \(newest)"
      )
    }
    return try version(database, row, isWhole: true)
  }

  private func version(_ database: Database, _ row: Row, isWhole: Bool) throws -> DatasetVersion {
    let (name, number): (String, UInt32) = (row["dataset"], row["version"])
    let key: StatementArguments = [name, number]
    var labels: [String: [(isEntity: Bool, label: String, count: UInt64)]] = [:]
    var shards: [StoredFile] = []
    if isWhole {
      let labelRows = try Row.fetchCursor(
        database,
        sql: "SELECT * FROM dataset_label WHERE dataset = ? AND version = ?",
        arguments: key
      )
      while let row = try labelRows.next() {
        labels[row["split"], default: []].append(
          (row["is_entity"], row["label"], row["label_count"])
        )
      }
      let shardRows = try Row.fetchCursor(
        database,
        sql: "SELECT * FROM dataset_shard WHERE dataset = ? AND version = ? ORDER BY ordinal",
        arguments: key
      )
      while let row = try shardRows.next() {
        shards.append(
          StoredFile(
            name: "shard \(shards.count)",
            sizeBytes: row["size_bytes"],
            sha256: row["sha256"]
          )
        )
      }
    }
    let splits = try Row.fetchAll(
      database,
      sql: "SELECT * FROM dataset_split WHERE dataset = ? AND version = ? ORDER BY split",
      arguments: key
    ).map { row in try split(row, labels[row["split"]] ?? []) }
    guard let kind = RowKind(rawValue: row["kind"]) else {
      throw DataError(.dataLoss, "dataset \(name)@\(number): kind \(row["kind"] as String)")
    }
    return DatasetVersion(
      name: name,
      version: number,
      digest: row["digest"],
      parent: row["parent"],
      kind: kind,
      tagScheme: (row["tag_scheme"] as String?).flatMap(TagScheme.init(rawValue:)),
      splits: splits,
      origin: row["origin"],
      createdAtMilliseconds: row["created_at_ms"],
      badRows: row["bad_rows"],
      shards: shards
    )
  }

  private func split(
    _ row: Row,
    _ labels: [(isEntity: Bool, label: String, count: UInt64)]
  ) throws -> DatasetSplit {
    let name: String = row["split"]
    guard let lengths = LengthHistogram(encoded: row["lengths"]) else {
      throw DataError(.dataLoss, "split \(name): its lengths are damaged")
    }
    var statistics = RowStatistics()
    statistics.rows = row["row_count"]
    statistics.tokens = row["token_count"]
    statistics.bytes = row["bytes"]
    statistics.lengths = lengths
    for label in labels {
      if label.isEntity {
        statistics.entities[label.label] = label.count
      } else {
        statistics.labels[label.label] = label.count
      }
    }
    return DatasetSplit(
      name: name,
      statistics: statistics,
      sha256: row["sha256"],
      index: StoredFile(
        name: "index of split \(name)",
        sizeBytes: row["index_bytes"],
        sha256: row["index_sha256"]
      )
    )
  }

  /// Adds a version under the next number of its name, or returns the one of the same content.
  ///
  /// - Parameters:
  ///   - database: of a transaction.
  ///   - draft: the version; its number is ignored.
  ///   - versionsMax: the most versions of all datasets.
  /// - Returns: the version, and whether it is new.
  /// - Throws: `resourceExhausted` beyond `versionsMax`, and what the database says.
  func insert(
    _ database: Database,
    _ draft: DatasetVersion,
    versionsMax: Int
  ) throws -> (version: DatasetVersion, isNew: Bool) {
    let present = try UInt32.fetchOne(
      database,
      sql: "SELECT version FROM dataset_version WHERE dataset = ? AND digest = ?",
      arguments: [draft.name, draft.digest]
    )
    if let present {
      let reference = try DatasetReference(parsing: "\(draft.name)@\(present)")
      return (try resolve(database, reference), false)
    }
    let count = try Int.fetchOne(database, sql: "SELECT count(*) FROM dataset_version") ?? 0
    guard count < versionsMax else {
      throw DataError(.resourceExhausted, "\(count) versions of datasets, at most \(versionsMax)")
    }
    try database.execute(
      sql: """
        INSERT INTO dataset (name, last_version) VALUES (?, 1)
        ON CONFLICT (name) DO UPDATE SET last_version = last_version + 1
        """,
      arguments: [draft.name]
    )
    var version = draft
    version.version =
      try UInt32.fetchOne(
        database,
        sql: "SELECT last_version FROM dataset WHERE name = ?",
        arguments: [draft.name]
      ) ?? 1
    try database.execute(
      sql: "INSERT INTO dataset_version VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
      arguments: [
        version.name, version.version, version.digest, version.parent, version.kind.rawValue,
        version.tagScheme?.rawValue, version.origin, version.createdAtMilliseconds, version.badRows,
      ]
    )
    for split in version.splits { try insert(database, split, of: version) }
    for (ordinal, shard) in version.shards.enumerated() {
      try database.execute(
        sql: "INSERT INTO dataset_shard VALUES (?, ?, ?, ?, ?)",
        arguments: [version.name, version.version, ordinal, shard.sha256, shard.sizeBytes]
      )
    }
    return (version, true)
  }

  private func insert(
    _ database: Database,
    _ split: DatasetSplit,
    of version: DatasetVersion
  ) throws {
    let statistics = split.statistics
    try database.execute(
      sql: "INSERT INTO dataset_split VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      arguments: [
        version.name, version.version, split.name, statistics.rows, statistics.tokens,
        statistics.bytes, split.sha256, statistics.lengths.encoded, split.index.sha256,
        split.index.sizeBytes,
      ]
    )
    for (isEntity, counts) in [(false, statistics.labels), (true, statistics.entities)] {
      for (label, count) in counts {
        try database.execute(
          sql: "INSERT INTO dataset_label VALUES (?, ?, ?, ?, ?, ?)",
          arguments: [version.name, version.version, split.name, isEntity, label, count]
        )
      }
    }
  }

  /// The newest version of a name; nil if there is none.
  func newest(_ database: Database, of name: String) throws -> UInt32? {
    try UInt32.fetchOne(
      database,
      sql: "SELECT max(version) FROM dataset_version WHERE dataset = ?",
      arguments: [name]
    )
  }

  /// Removes a version; throws `notFound`.
  func delete(_ database: Database, _ reference: DatasetReference) throws {
    let version = try resolve(database, reference)
    try database.execute(
      sql: "DELETE FROM dataset_version WHERE dataset = ? AND version = ?",
      arguments: [version.name, version.version]
    )
  }
}
