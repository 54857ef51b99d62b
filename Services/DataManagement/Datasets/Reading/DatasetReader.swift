package import Store

/// Some rows of a split, in the order they were asked for.
package struct RowBatch: Sendable, Equatable {
  /// JSON objects, each followed by a line feed.
  package var rows: [UInt8] = []
  /// How many.
  package var count = 0
  /// Rows of the order up to the end of this batch: where another reader may go on.
  package var cursor: UInt64
}

/// What to read.
package struct ReadOptions: Sendable {
  /// The split.
  package var split: String
  /// Shuffled by this seed; nil: in stored order.
  package var seed: UInt64?
  /// Where to start: a batch's cursor.
  package var cursor: UInt64 = 0
  /// Rows to read; 0: to the end.
  package var rowsMax: UInt64 = 0

  /// All rows of a split in stored order.
  package init(split: String) { self.split = split }
}

extension DatasetStore {
  /// Starts to read a split of a version.
  ///
  /// - Throws: `notFound`, `invalidArgument` for a cursor beyond the end, `resourceExhausted` beyond
  ///   `readersMax`, `dataLoss` if the index is missing or damaged.
  package func reader(
    _ reference: String,
    _ options: ReadOptions
  ) async throws(DataError) -> DatasetReader {
    let version = try await resolve(reference)
    let split = try version.split(options.split)
    let operation = "read \(version.reference) \(split.name)"
    guard options.cursor <= split.statistics.rows else {
      throw DataError(
        .invalidArgument,
        "\(operation): cursor \(options.cursor), but there are \(split.statistics.rows) rows"
      )
    }
    try claimReader(operation)
    return DatasetReader(store: self, version: version, split: split, options: options)
  }
}

/// Reads the rows of a split, batch by batch, in memory bounded by a batch.
///
/// Its work runs on a queue of its own, where it may block.
package actor DatasetReader {
  /// Rows of a batch.
  package static let batchRowsMax = 4_096
  /// Bytes after which a batch ends.
  package static let batchBytesMax = 1 << 20

  /// The version that is read.
  package nonisolated let version: DatasetVersion
  /// The split that is read.
  package nonisolated let split: DatasetSplit

  private nonisolated let executor: QueueExecutor
  private let store: DatasetStore
  private let permutation: Permutation?
  private let end: UInt64
  private var position: UInt64
  private var sources: (index: RowIndexReader, shards: ShardReader)?

  /// The queue.
  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    executor.asUnownedSerialExecutor()
  }

  fileprivate init(
    store: DatasetStore,
    version: DatasetVersion,
    split: DatasetSplit,
    options: ReadOptions
  ) {
    self.store = store
    self.version = version
    self.split = split
    let rows = split.statistics.rows
    permutation = options.seed.map { Permutation(count: rows, seed: $0) }
    position = options.cursor
    let wanted = options.rowsMax == 0 ? rows : options.rowsMax
    end = wanted < rows - options.cursor ? options.cursor + wanted : rows
    executor = QueueExecutor(label: "llmos.data.dataset-read")
  }

  deinit { store.releaseReader() }

  /// The next rows; nil after the last.
  package func next(rowsMax: Int = 256) throws(DataError) -> RowBatch? {
    guard position < end else { return nil }
    let sources = try openSources()
    var batch = RowBatch(cursor: position)
    let rowsMax = max(1, min(rowsMax, Self.batchRowsMax))
    while batch.count < rowsMax, batch.rows.count < Self.batchBytesMax, position < end {
      let row = permutation?[position] ?? position
      let entry = try sources.index.entry(row)
      let isFull = batch.rows.count + Int(entry.length) >= Self.batchBytesMax
      if isFull && batch.count > 0 { break }
      try sources.shards.append(entry, to: &batch.rows)
      position += 1
      batch.count += 1
    }
    batch.cursor = position
    store.count { $0.rowsRead += UInt64(batch.count) }
    return batch
  }

  private func openSources() throws(DataError) -> (index: RowIndexReader, shards: ShardReader) {
    if let sources { return sources }
    let layout = store.store.layout
    let opened = (
      index: try RowIndexReader(
        path: layout.blob(split.index.sha256),
        split: split.name,
        rows: split.statistics.rows
      ),
      shards: ShardReader(version, layout: layout)
    )
    sources = opened
    return opened
  }
}
