/// The rows of one split in stored order, each the bytes of one JSON object.
///
/// A source may be read several times and gives the same rows each time.
package protocol RowSource: Sendable {
  /// Calls `body` with each row; the bytes are valid during the call only.
  /// - Throws: what `body` throws, or why the rows cannot be read.
  func forEachRow(_ body: (UnsafeRawBufferPointer) throws -> Void) throws
}

/// What a run learns from.
package struct TrainingInput: Sendable {
  /// The rows to learn.
  package var train: any RowSource
  /// The rows that choose the best weights.
  package var dev: (any RowSource)?
  /// The rows of the final report; those of `dev` where there are none.
  package var test: (any RowSource)?
  /// A model folder in Hugging Face's layout; nil to train from scratch.
  package var baseModel: String?

  /// Makes an input.
  package init(
    train: any RowSource,
    dev: (any RowSource)? = nil,
    test: (any RowSource)? = nil,
    baseModel: String? = nil
  ) {
    self.train = train
    self.dev = dev
    self.test = test
    self.baseModel = baseModel
  }
}

/// The bounds of what is read as data.
package enum DataLimits {
  /// The longest row.
  package static let rowBytesMax = 16 << 20
  /// The most rows of a split.
  package static let rowsMax = 1 << 26
  /// The most words of one row of tokens.
  package static let wordsMax = 1 << 16
  /// The most messages of one conversation: rendering takes quadratic time in them.
  package static let messagesMax = 256
  /// The most labels of a task.
  package static let labelsMax = 1 << 14
  /// The most names listed in a message.
  static let namesShownMax = 10
}

/// Rows in memory, for tests and small data.
package struct RowList: RowSource {
  private let rows: [[UInt8]]

  /// Makes a source of JSON texts.
  package init(_ rows: [String]) { self.rows = rows.map { Array($0.utf8) } }

  package func forEachRow(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    for row in rows { try row.withUnsafeBytes { try body($0) } }
  }
}
