import Datasets
import Foundation
import Store
import Testing

@Suite struct HostileInputTests {
  @Test(arguments: FileFormat.allCases)
  func `A line without end takes bounded memory and is one bad row`(
    format: FileFormat
  )
    async throws
  {
    let name = format.rawValue
    // In a process of its own, whose memory nobody else uses.
    await #expect(processExitsWith: .success) { [name = name as String] in
      let format = try #require(FileFormat(rawValue: name))
      let before = HostileInputTests.residentBytes()
      let outcome = try await HostileInputTests.importLongLine(format)
      #expect(HostileInputTests.residentBytes() - before < 32 << 20)
      #expect(outcome.version?.statistics.rows == 1)
      #expect(outcome.badRowsTotal == 1)
      let line: UInt64 = format == .csv || format == .tsv ? 2 : 1
      let reason = "longer than 65536 bytes"
      #expect(outcome.badRows == [BadRow(file: "a", line: line, reason: reason)])
    }
  }

  /// Imports a line of 64 MiB and one of some bytes.
  private static func importLongLine(_ format: FileFormat) async throws -> DatasetImportOutcome {
    let temporary = try TemporaryDatasets()
    var limits = DatasetLimits()
    limits.lineBytesMax = 1 << 16
    let store = try temporary.open(limits)
    let (head, good) =
      switch format {
      case .conll: ("", "\nx O\n")
      case .jsonl: ("", #"{"text":"x"}"# + "\n")
      case .csv: ("text,label\n", "x,y\n")
      case .tsv: ("text\tlabel\n", "x\ty\n")
      case .text: ("", "x\n")
      }
    var options = ImportOptions(name: "set")
    options.badRows = .skip
    let session = try store.beginImport(options)
    try await session.startFile(name: "a", format: format, split: "train")
    try await session.append(Array(head.utf8))
    let piece = [UInt8](repeating: UInt8(ascii: "a"), count: 1 << 20)
    for _ in 0..<64 { try await session.append(piece) }
    try await session.append(Array("\n\(good)".utf8))
    return try await session.finish()
  }

  @Test func `Bytes that are no text are bad rows`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    for (format, bytes): (FileFormat, [UInt8]) in [
      (.text, [0x61, 0xFF, 0x0A]), (.text, [0x61, 0x00, 0x0A]), (.text, [0xED, 0xA0, 0x80, 0x0A]),
      (.conll, Array("a\u{0} O\n".utf8)), (.conll, [0xC3, 0x20, 0x4F, 0x0A]),
      (.csv, Array("text\na\u{0}b\n".utf8)), (.csv, Array("text\n".utf8) + [0xFE, 0x0A]),
      (.jsonl, Array(#"{"text":""#.utf8) + [0xFF] + Array(#""}"#.utf8)),
    ] {
      let file = TestFile("a", bytes: bytes, format: format)
      let outcome = try await store.importFiles([file])
      #expect(outcome.version == nil)
      #expect(outcome.badRowsTotal == 1, "\(format) \(bytes)")
    }
    #expect(try await store.list().isEmpty)
  }

  @Test func `The list of bad rows is bounded, their number is not`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    let text = String(repeating: "{\n", count: 5_000)
    let outcome = try await store.importFiles([TestFile("a.jsonl", text)])
    #expect(outcome.badRows.count == 100)
    #expect(outcome.badRowsTotal == 5_000)
  }

  @Test func `Files, splits, labels and writers beyond the limits are refused`() async throws {
    let temporary = try TemporaryDatasets()
    var limits = DatasetLimits()
    (limits.labelsMax, limits.filesMax, limits.splitsMax, limits.writersMax) = (3, 2, 1, 1)
    let store = try temporary.open(limits)
    let labels = (0..<4).map { "{\"text\":\"a\",\"label\":\"\($0)\"}\n" }.joined()
    let cases: [[TestFile]] = [
      [TestFile("a.jsonl", labels)],
      [TestFile("a.txt", "a"), TestFile("b.txt", "b"), TestFile("c.txt", "c")],
      [TestFile("a.txt", "a"), TestFile("b.txt", "b", split: "dev")],
    ]
    for files in cases {
      let error = try await failure { _ = try await store.importFiles(files) }
      #expect(error.code == .resourceExhausted, "\(error)")
    }
    let held = try store.beginImport(ImportOptions(name: "held"))
    let error = try await failure { _ = try store.beginImport(ImportOptions(name: "other")) }
    #expect(error.code == .resourceExhausted)
    withExtendedLifetime(held) {}
  }

  @Test func `Names, sizes and order of an import are checked`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    for name in ["", "A", "../a", "a b", String(repeating: "a", count: 65)] {
      let error = try await failure { _ = try store.beginImport(ImportOptions(name: name)) }
      #expect(error.code == .invalidArgument)
    }
    let session = try store.beginImport(ImportOptions(name: "set"))
    var error = try await failure { try await session.append([0x61]) }
    #expect(error.code == .invalidArgument)
    error = try await failure { _ = try await session.finish() }
    #expect(error.code == .invalidArgument)
    error = try await failure {
      try await session.startFile(name: "a.bin", format: nil, split: "train")
    }
    #expect(error.code == .invalidArgument)
    error = try await failure {
      try await session.startFile(name: "a.txt", format: nil, split: "../x")
    }
    #expect(error.code == .invalidArgument)
    try await session.startFile(name: "a.txt", format: nil, split: "train", sizeBytes: 2)
    error = try await failure { try await session.append([0x61, 0x61, 0x61]) }
    #expect(error.code == .failedPrecondition)
    let short = try store.beginImport(ImportOptions(name: "set"))
    try await short.startFile(name: "a.txt", format: nil, split: "train", sizeBytes: 2)
    try await short.append([0x61])
    error = try await failure { _ = try await short.finish() }
    #expect(error.code == .failedPrecondition)
    error = try await failure {
      _ = try await store.importFiles([TestFile("a.txt", "a"), TestFile("b.txt", "\n\n")])
    }
    #expect(error.message == "b.txt: it has no rows")
    #expect(try store.inconsistencies().filter { !$0.hasPrefix("staging/") }.isEmpty)
  }

  /// Resident memory of this process.
  private static func residentBytes() -> Int {
    let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
    return (Int(text.split(separator: " ").dropFirst().first ?? "") ?? 0) * 4_096
  }
}
