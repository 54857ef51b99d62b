/// The bounds of datasets; each has a name, so that an error can say which one was met.
package struct DatasetLimits: Sendable {
  /// Bytes of one line, or of one record of a CSV file; a longer one is a bad row.
  package var lineBytesMax = 4 << 20
  /// Bytes of a row as stored; one response of a read carries at least one.
  package var rowBytesMax = 1 << 20
  /// Tokens of one row, or messages of one chat.
  package var rowItemsMax = 65_536
  /// Bytes of a label, a tag or a role.
  package var labelBytesMax = 256
  /// Distinct labels, or tags, of a dataset.
  package var labelsMax = 10_000
  /// Distinct sets of entity types that are told apart by a stratified split.
  package var strataMax = 65_536
  /// Columns of a CSV or CoNLL file.
  package var columnsMax = 1_024
  /// Rows of a version.
  package var rowsMax: UInt64 = 1 << 31
  /// Bytes of a shard.
  package var shardBytesMax = 16 << 20
  /// Shards of a version.
  package var shardsMax = 65_536
  /// Splits of a version.
  package var splitsMax = 64
  /// Files of one import.
  package var filesMax = 256
  /// Bad rows that are listed; all are counted.
  package var badRowsListedMax = 100
  /// Versions of all datasets together; keeps a list of them in one message.
  package var versionsMax = 2_000
  /// Imports and splits under way; a further one is refused.
  package var writersMax = 8
  /// Reads under way; a further one is refused.
  package var readersMax = 256
  /// Rows of which a difference holds the digests at a time.
  package var differenceRowsMax = 1 << 20

  /// The defaults.
  package init() {}
}
