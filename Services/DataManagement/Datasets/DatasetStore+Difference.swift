package import Store

/// What one version has that another has not.
package struct DatasetDifference: Sendable {
  /// What it starts from.
  package let older: DatasetVersion
  /// What it goes to.
  package let newer: DatasetVersion
  /// Rows of the newer one that the older one has not; a row that occurs twice counts twice.
  package internal(set) var added: UInt64 = 0
  /// Rows of the older one that the newer one has not.
  package internal(set) var removed: UInt64 = 0
  /// Rows of both.
  package internal(set) var unchanged: UInt64 = 0
  /// Of those, rows that went from one split to another.
  package internal(set) var moved: UInt64 = 0
  /// Some rows that were added, as stored.
  package internal(set) var addedRows: [[UInt8]] = []
  /// Some rows that were removed, as stored.
  package internal(set) var removedRows: [[UInt8]] = []

  /// Labels that only the newer one has, sorted.
  package var labelsAdded: [String] {
    Set(newer.statistics.labels.keys).subtracting(older.statistics.labels.keys).sorted()
  }

  /// Labels that only the older one has, sorted.
  package var labelsRemoved: [String] {
    Set(older.statistics.labels.keys).subtracting(newer.statistics.labels.keys).sorted()
  }
}

extension DatasetStore {
  /// The longest row that a difference shows, in bytes.
  package static let differenceRowBytesMax = 4_096

  /// Compares two versions by the digests of their rows.
  ///
  /// Takes memory for `differenceRowsMax` digests, whatever the versions' size: larger ones are compared in
  /// several passes, each over the digests that start alike.
  ///
  /// - Parameters:
  ///   - older: what to start from.
  ///   - newer: what to go to.
  ///   - rowsMax: rows to show of each kind.
  /// - Returns: how many rows differ, and some of them.
  /// - Throws: `invalidArgument`, `notFound`, `dataLoss`.
  package func difference(
    from older: String,
    to newer: String,
    rowsMax: Int = 10
  ) async throws(DataError) -> DatasetDifference {
    let older = try await resolve(older)
    let newer = try await resolve(newer)
    try claimReader("diff \(older.reference) \(newer.reference)")
    defer { releaseReader() }
    return try await BlockingWorker(label: "diff", pendingMax: 1).run { () throws(DataError) in
      try self.differenceBlocking(older, newer, rowsMax)
    }
  }

  private struct Counts {
    var older: UInt64 = 0
    var newer: UInt64 = 0
    var both: UInt64 { min(older, newer) }
  }

  private struct SplitRow: Hashable {
    let digest: RowDigest
    let split: String
  }

  private func differenceBlocking(
    _ older: DatasetVersion,
    _ newer: DatasetVersion,
    _ rowsMax: Int
  ) throws(DataError) -> DatasetDifference {
    var result = DatasetDifference(older: older, newer: newer)
    let rows = older.statistics.rows + newer.statistics.rows
    let passes = max(1, (rows - 1) / UInt64(limits.differenceRowsMax) + 1)
    let oldShards = ShardReader(older, layout: store.layout)
    let newShards = ShardReader(newer, layout: store.layout)
    for pass in 0..<passes {
      var counts: [RowDigest: Counts] = [:]
      var inSplit: [SplitRow: Counts] = [:]
      try forEachRow(of: older, pass, passes) { (entry, split) throws(DataError) in
        counts[entry.digest, default: Counts()].older += 1
        inSplit[SplitRow(digest: entry.digest, split: split), default: Counts()].older += 1
      }
      try forEachRow(of: newer, pass, passes) { (entry, split) throws(DataError) in
        counts[entry.digest, default: Counts()].newer += 1
        inSplit[SplitRow(digest: entry.digest, split: split), default: Counts()].newer += 1
      }
      let both = counts.values.reduce(0) { $0 + $1.both }
      result.unchanged += both
      result.moved += both - inSplit.values.reduce(0) { $0 + $1.both }
      for count in counts.values {
        result.added += count.newer - count.both
        result.removed += count.older - count.both
      }
      try sample(newer, pass, passes, newShards, rowsMax, into: &result.addedRows) { digest in
        guard let count = counts[digest], count.newer > count.older else { return false }
        counts[digest]?.newer -= 1
        return true
      }
      try sample(older, pass, passes, oldShards, rowsMax, into: &result.removedRows) { digest in
        guard let count = counts[digest], count.older > count.newer else { return false }
        counts[digest]?.older -= 1
        return true
      }
    }
    return result
  }

  private func sample(
    _ version: DatasetVersion,
    _ pass: UInt64,
    _ passes: UInt64,
    _ shards: ShardReader,
    _ rowsMax: Int,
    into rows: inout [[UInt8]],
    _ isWanted: (RowDigest) -> Bool
  ) throws(DataError) {
    var taken = rows
    defer { rows = taken }
    guard taken.count < rowsMax else { return }
    try forEachRow(of: version, pass, passes) { (entry, _) throws(DataError) in
      guard taken.count < rowsMax, Int(entry.length) <= Self.differenceRowBytesMax,
        isWanted(entry.digest)
      else { return }
      var row: [UInt8] = []
      try shards.append(entry, to: &row)
      row.removeLast()
      taken.append(row)
    }
  }

  private func forEachRow(
    of version: DatasetVersion,
    _ pass: UInt64,
    _ passes: UInt64,
    _ body: (RowEntry, String) throws(DataError) -> Void
  ) throws(DataError) {
    for split in version.splits {
      try forEachRow(of: version, split.name) { (entry) throws(DataError) in
        if entry.digest.high % passes == pass { try body(entry, split.name) }
      }
    }
  }
}
