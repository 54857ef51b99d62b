import Databases
import Files
package import Store

/// What to make of the files of an import.
package struct ImportOptions: Sendable {
  /// What becomes of rows that cannot be used.
  package enum BadRows: Sendable { case reject, skip }

  /// The dataset's name.
  package var name: String
  /// What becomes of rows that cannot be used.
  package var badRows = BadRows.reject
  /// How to read the files.
  package var parsing = ParserOptions()
  /// The scheme of the tags; nil: found out.
  package var tagScheme: TagScheme?

  /// Options for a dataset's name.
  package init(name: String) { self.name = name }
}

/// A row that cannot be used.
package struct BadRow: Sendable, Equatable {
  /// The file's name.
  package let file: String
  /// From 1.
  package let line: UInt64
  /// Why.
  package let reason: String

  /// A row with its place and what is wrong with it.
  package init(file: String, line: UInt64, reason: String) {
    self.file = file
    self.line = line
    self.reason = reason
  }
}

/// How far an import has got.
package struct ImportProgress: Sendable, Equatable {
  /// Bytes of all files taken in.
  package var bytes: UInt64 = 0
  /// Good rows.
  package var rows: UInt64 = 0
  /// Bad rows.
  package var badRows: UInt64 = 0
}

/// How an import ended.
package struct DatasetImportOutcome: Sendable {
  /// The version; nil if rows were refused.
  package let version: DatasetVersion?
  /// Whether it was added; otherwise its content was there already.
  package let isNew: Bool
  /// The first bad rows.
  package let badRows: [BadRow]
  /// All bad rows.
  package let badRowsTotal: UInt64
}

extension DatasetStore {
  /// Starts an import; `finish` makes the version, and dropping the import leaves nothing behind.
  package func beginImport(_ options: ImportOptions) throws(DataError) -> DatasetImport {
    try DatasetReference.validateName(options.name, "dataset name")
    return try DatasetImport(store: self, options: options)
  }
}

/// An import under way: files come in pieces, one after another, in constant memory.
///
/// Its work runs on a queue of its own, where it may block. One task may use it at a time.
package actor DatasetImport {
  private nonisolated let executor: QueueExecutor
  private let store: DatasetStore
  private let options: ImportOptions
  private let staging: String

  private var writer: VersionWriter?
  private var file: OpenFile?
  private var fileNames: [String] = []
  private let state: RowIntake
  private var isOver = false
  private var bytes: UInt64 = 0

  private struct OpenFile {
    let name: String
    let split: String
    let sizeBytes: UInt64
    var parser: any FileParser
    var bytes: UInt64 = 0
    let rowsBefore: UInt64
  }

  /// The queue.
  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    executor.asUnownedSerialExecutor()
  }

  fileprivate init(store: DatasetStore, options: ImportOptions) throws(DataError) {
    staging = try store.claimWriter("import \(options.name)")
    self.store = store
    self.options = options
    state = RowIntake(options: options, limits: store.limits)
    executor = QueueExecutor(label: "llmos.data.dataset-import")
  }

  deinit {
    // Blocks the thread that drops the last reference for as long as removing some files takes; what cannot be
    // removed is swept at start.
    if !isOver {
      try? FileSystem.removeTree(staging)
      store.count { $0.importsFailed += 1 }
    }
    store.releaseWriter()
  }

  /// How far it has got.
  package var progress: ImportProgress {
    ImportProgress(bytes: bytes, rows: state.rows, badRows: state.badRowsTotal)
  }

  /// Starts the next file; the one before is at its end.
  ///
  /// - Parameters:
  ///   - name: the file's name.
  ///   - format: nil: by the name.
  ///   - split: where its rows go.
  ///   - sizeBytes: its size, to be checked; 0 if unknown.
  /// - Throws: `invalidArgument` for a name that says no format, `resourceExhausted` beyond `filesMax`, and what
  ///   is wrong with the end of the file before.
  package func startFile(
    name: String,
    format: FileFormat?,
    split: String,
    sizeBytes: UInt64 = 0
  ) throws(DataError) {
    try endFile()
    let shown = StoreName.quoted(String(name.split(separator: "/").last ?? "")).dropFirst()
      .dropLast()
    let name = shown.isEmpty ? "file \(fileNames.count + 1)" : String(shown)
    try DatasetReference.validateName(split, "\(name): split name")
    guard let format = format ?? FileFormat(fileName: name) else {
      throw DataError(
        .invalidArgument,
        "\(name): the format cannot be told from the name; give it: "
          + FileFormat.allCases.map(\.rawValue).joined(separator: ", ")
      )
    }
    guard fileNames.count < store.limits.filesMax else {
      throw DataError(.resourceExhausted, "import: more than \(store.limits.filesMax) files")
    }
    let writer = try openWriter()
    try writer.addSplit(split)
    fileNames.append(name)
    file = OpenFile(
      name: name,
      split: split,
      sizeBytes: sizeBytes,
      parser: try format.parser(fileName: name, options: options.parsing, limits: store.limits),
      rowsBefore: state.rows + state.badRowsTotal
    )
  }

  /// Takes in the next bytes of the file.
  package func append(_ bytes: [UInt8]) throws(DataError) {
    guard var file, let writer else {
      throw DataError(.invalidArgument, "import \(options.name): data without a file")
    }
    // Held once, the parser's buffers are not copied; after an error there is no file to go on with.
    self.file = nil
    if Task.isCancelled { throw DataError(.cancelled, "import \(options.name): cancelled") }
    file.bytes += UInt64(bytes.count)
    self.bytes += UInt64(bytes.count)
    if file.sizeBytes > 0, file.bytes > file.sizeBytes {
      throw DataError(
        .failedPrecondition,
        "\(file.name): more than the \(file.sizeBytes) bytes announced"
      )
    }
    let (intake, name, split) = (state, file.name, file.split)
    let result = bytes.withUnsafeBytes { buffer -> Result<Void, DataError> in
      Result { () throws(DataError) in
        try file.parser.consume(buffer) { (item) throws(DataError) in
          try intake.take(item, of: name, into: split, writer)
        }
      }
    }
    try result.get()
    self.file = file
  }

  /// Makes the version, or says which rows were refused.
  ///
  /// - Throws: `failedPrecondition` for a file without rows or tags of conflicting schemes, and what else makes
  ///   the files unusable.
  package func finish() throws(DataError) -> DatasetImportOutcome {
    let outcome = try finishFiles()
    if outcome.version != nil {
      store.count { if outcome.isNew { $0.importsAdded += 1 } else { $0.importsUnchanged += 1 } }
    }
    return outcome
  }

  private func finishFiles() throws(DataError) -> DatasetImportOutcome {
    try endFile()
    guard let writer, !fileNames.isEmpty else {
      throw DataError(.invalidArgument, "import \(options.name): there is no file")
    }
    if state.isRefused {
      return DatasetImportOutcome(
        version: nil,
        isNew: false,
        badRows: state.badRows,
        badRowsTotal: state.badRowsTotal
      )
    }
    let scheme = try state.finalScheme()
    guard let kind = state.kind else {
      throw DataError(.failedPrecondition, "import \(options.name): no row could be used")
    }
    let written = try writer.finish(blobs: store.store.blobs)
    let (catalogue, name) = (store.catalogue, options.name)
    let parent = try catalogue.database.readBlocking("import \(name)") {
      try catalogue.newest($0, of: name)
    }
    let result = try store.commit(
      DatasetVersion(
        name: name,
        version: 0,
        digest: DatasetVersion.digest(of: written.splits),
        parent: parent,
        kind: kind,
        tagScheme: scheme,
        splits: written.splits,
        origin: "import \(fileNames.prefix(8).joined(separator: " "))"
          + (fileNames.count > 8 ? " …" : ""),
        createdAtMilliseconds: WallClock.milliseconds(),
        badRows: state.badRowsTotal,
        shards: written.shards
      )
    )
    self.writer = nil
    isOver = true
    // The version is there, whether this succeeds or not.
    try? FileSystem.removeTree(staging)
    store.onStep(.cleaned)
    return DatasetImportOutcome(
      version: result.version,
      isNew: result.isNew,
      badRows: state.badRows,
      badRowsTotal: state.badRowsTotal
    )
  }

  private func openWriter() throws(DataError) -> VersionWriter {
    if let writer { return writer }
    try FileSystem.removeTree(staging)
    try FileSystem.createDirectory(staging)
    let onStep = store.onStep
    let writer = VersionWriter(staging: staging, limits: store.limits, onStep: { onStep($0) })
    self.writer = writer
    onStep(.begun)
    return writer
  }

  private func endFile() throws(DataError) {
    guard var file, let writer else { return }
    self.file = nil
    guard file.sizeBytes == 0 || file.bytes == file.sizeBytes else {
      throw DataError(
        .failedPrecondition,
        "\(file.name): \(file.bytes) bytes came, \(file.sizeBytes) were announced"
      )
    }
    let (intake, name, split) = (state, file.name, file.split)
    try file.parser.finish { (item) throws(DataError) in
      try intake.take(item, of: name, into: split, writer)
    }
    guard intake.rows + intake.badRowsTotal > file.rowsBefore else {
      throw DataError(.failedPrecondition, "\(file.name): it has no rows")
    }
  }
}
