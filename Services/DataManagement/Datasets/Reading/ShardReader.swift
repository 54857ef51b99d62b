import Glibc
import Store

/// Reads rows of a version's shards, each checked against its digest.
///
/// Used by one task at a time, on a thread that may block.
final class ShardReader {
  /// Shards open at once.
  private static let openMax = 64
  /// Bytes read ahead when rows are neighbours.
  private static let windowBytes = 256 << 10

  private struct OpenShard {
    let descriptor: CInt
    var usedAt: UInt64
  }

  private let version: String
  private let shards: [StoredFile]
  private let layout: StoreLayout
  private var open: [UInt32: OpenShard] = [:]
  private var clock: UInt64 = 0
  private var window: [UInt8] = []
  private var windowShard: UInt32 = 0
  private var windowStart = 0

  init(_ version: DatasetVersion, layout: StoreLayout) {
    self.version = version.reference
    shards = version.shards
    self.layout = layout
  }

  deinit { for shard in open.values { close(shard.descriptor) } }

  /// Appends a row with its line feed; throws `dataLoss` if it is not what was stored.
  func append(_ entry: RowEntry, to bytes: inout [UInt8]) throws(DataError) {
    let start = Int(entry.offset)
    let length = Int(entry.length) + 1
    let isHeld =
      entry.shard == windowShard && start >= windowStart
      && start + length <= windowStart + window.count
    if !isHeld { try fill(entry, start, length) }
    let from = start - windowStart
    let isSound = window.withUnsafeBytes { held in
      let row = UnsafeRawBufferPointer(rebasing: held[from..<(from + length - 1)])
      return held[from + length - 1] == 0x0A && RowDigest(of: row) == entry.digest
    }
    guard isSound else {
      throw DataError(
        .dataLoss,
        "dataset \(version): shard \(entry.shard), byte \(start): the row is damaged; "
          + "import the dataset again"
      )
    }
    bytes.append(contentsOf: window[from..<(from + length)])
  }

  private func fill(_ entry: RowEntry, _ start: Int, _ length: Int) throws(DataError) {
    guard Int(entry.shard) < shards.count,
      start + length <= Int(shards[Int(entry.shard)].sizeBytes)
    else {
      throw DataError(.dataLoss, "dataset \(version): an index points outside of its shards")
    }
    // A row that begins where the window ends, or soon after, is read with those that follow.
    let end = windowStart + window.count
    let isNear = entry.shard == windowShard && start >= end && start - end < Self.windowBytes
    let isFirst = window.isEmpty && start == 0
    let rest = Int(shards[Int(entry.shard)].sizeBytes) - start
    let count = isNear || isFirst ? min(rest, max(length, Self.windowBytes)) : length
    window = try readBlob(
      try descriptor(entry.shard),
      named: "dataset \(version): shard \(entry.shard)",
      offset: Int64(start),
      count: count
    )
    (windowShard, windowStart) = (entry.shard, start)
  }

  private func descriptor(_ shard: UInt32) throws(DataError) -> CInt {
    clock += 1
    if let found = open[shard]?.descriptor {
      open[shard]?.usedAt = clock
      return found
    }
    if open.count >= Self.openMax, let oldest = open.min(by: { $0.value.usedAt < $1.value.usedAt })
    {
      close(oldest.value.descriptor)
      open[oldest.key] = nil
    }
    let file = shards[Int(shard)]
    let descriptor = try openBlob(
      layout.blob(file.sha256),
      named: "dataset \(version): shard \(shard)",
      sizeBytes: file.sizeBytes
    )
    open[shard] = OpenShard(descriptor: descriptor, usedAt: clock)
    return descriptor
  }
}
