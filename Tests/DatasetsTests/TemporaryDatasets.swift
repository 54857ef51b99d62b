import Datasets
import Foundation
import Store
import Testing

/// Datasets in a temporary folder, which is removed with the object.
final class TemporaryDatasets: Sendable {
  let root: String
  var directory: String { "\(root)/data" }

  init() throws {
    root = FileManager.default.temporaryDirectory.path + "/datasets-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: root) }

  /// Opens the store.
  func open(
    _ limits: DatasetLimits = DatasetLimits(),
    onStep: @escaping @Sendable (DatasetStep) -> Void = { _ in }
  ) throws -> DatasetStore {
    DatasetStore(
      store: try DataStore(directory: directory, schemas: [DatasetStore.schema]),
      limits: limits,
      onStep: onStep
    )
  }
}

/// A file for an import.
struct TestFile {
  var name: String
  var bytes: [UInt8]
  var split = "train"
  var format: FileFormat?

  init(_ name: String, _ text: String, split: String = "train") {
    (self.name, bytes, self.split) = (name, Array(text.utf8), split)
  }

  init(_ name: String, bytes: [UInt8], split: String = "train", format: FileFormat? = nil) {
    (self.name, self.bytes, self.split, self.format) = (name, bytes, split, format)
  }

  init(path: String, split: String) throws {
    name = URL(fileURLWithPath: path).lastPathComponent
    bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
    self.split = split
  }
}

extension DatasetStore {
  /// Imports files in pieces of some size.
  func importFiles(
    _ files: [TestFile],
    name: String = "set",
    pieceBytes: Int = 1 << 20,
    _ change: (inout ImportOptions) -> Void = { _ in }
  ) async throws -> DatasetImportOutcome {
    var options = ImportOptions(name: name)
    change(&options)
    let session = try beginImport(options)
    for file in files {
      try await session.startFile(
        name: file.name,
        format: file.format,
        split: file.split,
        sizeBytes: UInt64(file.bytes.count)
      )
      var start = 0
      while start < file.bytes.count {
        let end = min(start + pieceBytes, file.bytes.count)
        try await session.append(Array(file.bytes[start..<end]))
        start = end
      }
    }
    return try await session.finish()
  }

  /// Imports one text and returns its version.
  func importText(
    _ name: String,
    _ text: String,
    pieceBytes: Int = 1 << 20,
    _ change: (inout ImportOptions) -> Void = { _ in }
  ) async throws -> DatasetVersion {
    let outcome = try await importFiles([TestFile(name, text)], pieceBytes: pieceBytes, change)
    return try #require(outcome.version, "\(outcome.badRows)")
  }

  /// The bad rows of a text, as "line: reason".
  func badRows(
    _ name: String,
    _ text: String,
    _ change: (inout ImportOptions) -> Void = { _ in }
  ) async throws -> [String] {
    let outcome = try await importFiles([TestFile(name, text)], change)
    #expect(outcome.version == nil)
    return outcome.badRows.map { "\($0.line): \($0.reason)" }
  }

  /// All rows of a split, in an order.
  func rows(
    _ reference: String = "set",
    _ split: String = "train",
    seed: UInt64? = nil,
    cursor: UInt64 = 0,
    batchRows: Int = 100
  ) async throws -> [String] {
    var options = ReadOptions(split: split)
    (options.seed, options.cursor) = (seed, cursor)
    let reader = try await reader(reference, options)
    var rows: [String] = []
    while let batch = try await reader.next(rowsMax: batchRows) {
      let text = try #require(String(validating: batch.rows, as: UTF8.self))
      let lines = text.split(separator: "\n").map(String.init)
      #expect(lines.count == batch.count)
      rows += lines
      #expect(batch.cursor == cursor + UInt64(rows.count))
    }
    return rows
  }
}

/// Runs the body and returns the error it must throw.
func failure(
  _ location: SourceLocation = #_sourceLocation,
  _ body: () async throws -> Void
) async throws -> DataError {
  let error = await #expect(throws: DataError.self, sourceLocation: location) { try await body() }
  return try #require(error, sourceLocation: location)
}

/// The folder of shared data; tests that need it are skipped without it.
enum SharedData {
  static let folder: String = {
    if let path = ProcessInfo.processInfo.environment["LLMOS_SHARED"] { return "\(path)/data" }
    return URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("../shared/data").standardized.path
  }()

  static var isPresent: Bool { FileManager.default.fileExists(atPath: folder) }
}

/// Seeded numbers for tests.
struct TestGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
