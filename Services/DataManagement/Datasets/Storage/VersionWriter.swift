import Crypto
import Digests
import Store

/// Writes the rows and indexes of a new version into the staging folder.
///
/// Memory is bounded by the buffers of the open shard and of the splits' indexes. Used by one task at a
/// time, on a thread that may block.
final class VersionWriter {
  private struct SplitState {
    let index: StagedFile
    var hash = SHA256()
    var statistics = RowStatistics()
  }

  private let staging: String
  private let limits: DatasetLimits
  private let onStep: (DatasetStep) -> Void
  private var shard: StagedFile?
  private var shards: [(path: String, file: StoredFile)] = []
  private var splits: [String: SplitState] = [:]
  private var rowBytes: [UInt8] = []
  private var entryBytes: [UInt8] = []
  /// Rows of all splits.
  private(set) var rows: UInt64 = 0

  /// - Parameters:
  ///   - staging: an empty folder.
  ///   - inheritedShards: how many shards of the parent come first in the version's list.
  ///   - limits: the named bounds.
  ///   - onStep: called as writing advances.
  init(
    staging: String,
    inheritedShards: Int = 0,
    limits: DatasetLimits,
    onStep: @escaping (DatasetStep) -> Void
  ) {
    self.staging = staging
    self.limits = limits
    self.onStep = onStep
    firstShard = inheritedShards
  }

  private let firstShard: Int

  /// Adds a split without rows; those without any are refused at the end.
  func addSplit(_ name: String) throws(DataError) {
    guard splits[name] == nil else { return }
    guard splits.count < limits.splitsMax else {
      throw DataError(.resourceExhausted, "more than \(limits.splitsMax) splits")
    }
    let index = try StagedFile(path: "\(staging)/index-\(splits.count)")
    try index.append(RowIndexReader.header)
    splits[name] = SplitState(index: index)
  }

  /// Statistics of a split so far.
  func statistics(of split: String) -> RowStatistics { splits[split]?.statistics ?? .init() }

  /// Writes a new row; false if it is too long to be stored.
  func append(
    _ row: DatasetRow,
    to split: String,
    stratum: UInt32,
    isPlain: Bool
  ) throws(DataError) -> Bool {
    rowBytes.removeAll(keepingCapacity: true)
    row.appendJSON(to: &rowBytes)
    guard rowBytes.count <= limits.rowBytesMax else { return false }
    let digest = rowBytes.withUnsafeBytes { RowDigest(of: $0) }
    let length = rowBytes.count
    rowBytes.append(0x0A)
    if let shard, shard.sizeBytes + rowBytes.count > limits.shardBytesMax {
      try finishShard(shard)
    }
    let shard = try openShard()
    let entry = RowEntry(
      shard: UInt32(firstShard + shards.count),
      offset: UInt32(shard.sizeBytes),
      length: UInt32(length),
      stratum: stratum,
      digest: digest
    )
    try shard.append(rowBytes)
    try record(row, rowBytes, entry, in: split, isPlain: isPlain)
    return true
  }

  /// Adds a row that lies in a shard already.
  ///
  /// - Parameters:
  ///   - row: the row.
  ///   - bytes: as stored, with the line feed.
  ///   - entry: where it lies.
  ///   - split: where it goes.
  ///   - isPlain: whether tags are no chunks.
  /// - Throws: `resourceExhausted` beyond `rowsMax`, and what the system says.
  func record(
    _ row: DatasetRow,
    _ bytes: [UInt8],
    _ entry: RowEntry,
    in split: String,
    isPlain: Bool
  ) throws(DataError) {
    guard rows < limits.rowsMax else {
      throw DataError(.resourceExhausted, "more than \(limits.rowsMax) rows")
    }
    rows += 1
    entryBytes.removeAll(keepingCapacity: true)
    entry.append(to: &entryBytes)
    let key = split
    try splits[key]?.index.append(entryBytes)
    bytes.withUnsafeBytes { splits[key]?.hash.update(bufferPointer: $0) }
    splits[key]?.statistics.add(row, storedBytes: bytes.count - 1, isPlain: isPlain)
  }

  private func openShard() throws(DataError) -> StagedFile {
    if let shard { return shard }
    guard firstShard + shards.count < limits.shardsMax else {
      throw DataError(.resourceExhausted, "more than \(limits.shardsMax) shards")
    }
    let shard = try StagedFile(path: "\(staging)/shard-\(shards.count)")
    self.shard = shard
    return shard
  }

  private func finishShard(_ shard: StagedFile) throws(DataError) {
    let file = try shard.finish(name: "shard \(firstShard + shards.count)")
    shards.append((shard.path, file))
    self.shard = nil
    onStep(.shardWritten)
  }

  /// Makes all that was written durable and part of the blobs; nothing refers to it yet.
  func finish(
    blobs: BlobDirectory
  ) throws(DataError) -> (shards: [StoredFile], splits: [DatasetSplit]) {
    if let shard { try finishShard(shard) }
    var written: [DatasetSplit] = []
    var files = shards
    for name in splits.keys.sorted() {
      guard let state = splits[name] else { continue }
      guard state.statistics.rows > 0 else {
        throw DataError(.failedPrecondition, "split \(name) would have no rows")
      }
      let index = try state.index.finish(name: "index of split \(name)")
      files.append((state.index.path, index))
      written.append(
        DatasetSplit(
          name: name,
          statistics: state.statistics,
          sha256: state.hash.finalize().hexadecimal,
          index: index
        )
      )
    }
    onStep(.staged)
    for (path, file) in files {
      _ = try blobs.adopt(staged: path, as: file)
      onStep(.blobAdopted)
    }
    return (shards.map(\.file), written)
  }
}
