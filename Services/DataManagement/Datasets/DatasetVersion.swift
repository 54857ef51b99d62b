import Digests
package import Store

/// Where the making of a version has got to.
///
/// After `committed` the version is there; before, it is not.
package enum DatasetStep: String, Sendable, CaseIterable {
  /// The staging folder is there.
  case begun
  /// One shard was written.
  case shardWritten
  /// All shards and indexes were written.
  case staged
  /// One of them became a blob.
  case blobAdopted
  /// The database has the version.
  case committed
  /// The staging folder is gone.
  case cleaned
}

/// One split of a version: some of its rows, in an order.
package struct DatasetSplit: Sendable, Equatable {
  /// Its name.
  package let name: String
  /// What is counted of its rows.
  package let statistics: RowStatistics
  /// SHA-256 of its rows as stored, each followed by a line feed: of the split as a JSON Lines file.
  package let sha256: String
  /// Where the rows lie.
  let index: StoredFile
}

/// One version of a dataset; immutable.
package struct DatasetVersion: Sendable, Equatable {
  /// The dataset's name.
  package internal(set) var name: String
  /// Counts from 1 for each name; never used twice.
  package internal(set) var version: UInt32
  /// SHA-256 over the splits; see `digest(of:)`.
  package internal(set) var digest: String
  /// The version it was made from, or the one before it; nil for a first one.
  package internal(set) var parent: UInt32?
  /// What the rows are.
  package internal(set) var kind: RowKind
  /// The scheme of the tags as imported; nil but for token classification.
  package internal(set) var tagScheme: TagScheme?
  /// The splits, by name.
  package internal(set) var splits: [DatasetSplit]
  /// What made it, in words.
  package internal(set) var origin: String
  /// Milliseconds since 1970-01-01 UTC.
  package internal(set) var createdAtMilliseconds: Int64
  /// Rows that its import left out.
  package internal(set) var badRows: UInt64
  /// The blobs that hold the rows, line by line.
  var shards: [StoredFile]

  /// What is counted of all rows.
  package var statistics: RowStatistics {
    splits.reduce(into: RowStatistics()) { $0.add($1.statistics) }
  }

  /// `name@version`.
  package var reference: String { "\(name)@\(version)" }

  /// A split by its name; throws `notFound`.
  package func split(_ name: String) throws(DataError) -> DatasetSplit {
    guard let split = splits.first(where: { $0.name == name }) else {
      let known = splits.map(\.name).joined(separator: ", ")
      throw DataError(
        .notFound,
        "dataset \(reference) has no split \(StoreName.quoted(name)); it has \(known)"
      )
    }
    return split
  }

  /// The digest of splits: SHA-256 of the lines `<sha256>  <name>` sorted by name (bytewise), which is what
  /// `sha256sum` prints of the splits as JSON Lines files named after them.
  static func digest(of splits: [DatasetSplit]) -> String {
    sha256(ofListing: splits.map { ($0.name, $0.sha256) })
  }
}

/// What a request calls a dataset: `name`, its newest version, or `name@version`.
package struct DatasetReference: Sendable, Equatable {
  /// The dataset's name.
  package let name: String
  /// Which version; nil for the newest.
  package let version: UInt32?

  /// Parses a reference; throws `invalidArgument` for text that is not one.
  package init(parsing text: String) throws(DataError) {
    let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
    let name = String(parts[0])
    try Self.validateName(name, "dataset name")
    self.name = name
    guard parts.count == 2 else {
      version = nil
      return
    }
    guard StoreName.isNumber(String(parts[1])), let number = UInt32(parts[1]), number > 0 else {
      throw DataError(
        .invalidArgument,
        "dataset \(StoreName.quoted(text)): versions are numbers from 1 on"
      )
    }
    version = number
  }

  /// Throws `invalidArgument` unless the text may name a dataset or a split.
  package static func validateName(_ name: String, _ what: String) throws(DataError) {
    guard StoreName.isName(name) else {
      throw DataError(
        .invalidArgument,
        "\(what) \(StoreName.quoted(name)) is not 1 to \(StoreName.bytesMax) of a-z 0-9 . _ -, "
          + "starting with a letter or digit"
      )
    }
  }
}
