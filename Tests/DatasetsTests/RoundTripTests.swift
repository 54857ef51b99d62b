import Datasets
import Store
import Testing

@Suite struct RoundTripTests {
  static let cases: [(FileFormat, RowKind)] = [
    (.jsonl, .tokenClassification), (.jsonl, .sequenceClassification), (.jsonl, .chat),
    (.jsonl, .text), (.conll, .tokenClassification), (.csv, .sequenceClassification), (.csv, .text),
    (.tsv, .sequenceClassification), (.tsv, .text), (.text, .text),
  ]

  @Test(arguments: cases)
  func `What is exported and imported again is the same, to the digest`(
    format: FileFormat,
    kind: RowKind
  ) async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    var generator = TestGenerator(7)
    for round in 0..<8 {
      let makers = RandomRows(format: format)
      let rows = (0..<(round * 13 + 1)).map { _ in makers.row(kind, &generator) }
      let export = RowExport(format: format, textUnit: .paragraph)
      var bytes = try export.header(kind)
      for row in rows { try export.append(row, to: &bytes) }
      let file = TestFile("x", bytes: bytes, format: format)
      let outcome = try await store.importFiles([file], name: "set\(round)", pieceBytes: 61) {
        $0.parsing.textUnit = .paragraph
      }
      let version = try #require(outcome.version, "\(outcome.badRows)")
      var expected: [UInt8] = []
      for row in rows {
        row.appendJSON(to: &expected)
        expected.append(0x0A)
      }
      let stored = try await store.rows(version.reference).joined(separator: "\n") + "\n"
      #expect(Array(stored.utf8) == expected)

      // Stored rows are JSON Lines: importing them gives the same content.
      let again = try await store.importFiles(
        [TestFile("x", bytes: expected, format: .jsonl)],
        name: "set\(round)"
      )
      #expect(again.version == version)
      #expect(!again.isNew)
    }
  }

  @Test(arguments: FileFormat.allCases)
  func `Mutated files are read or refused, in pieces of any size with the same result`(
    format: FileFormat
  ) async throws {
    let temporary = try TemporaryDatasets()
    var limits = DatasetLimits()
    (limits.lineBytesMax, limits.rowBytesMax, limits.rowItemsMax) = (512, 400, 40)
    let store = try temporary.open(limits)
    var generator = TestGenerator(UInt64(format.rawValue.utf8.count))
    for round in 0..<120 {
      let bytes = try RandomRows.mutatedFile(format, &generator)
      var results: [String] = []
      for pieceBytes in [1 << 20, 5] {
        do {
          let outcome = try await store.importFiles(
            [TestFile("x", bytes: bytes, format: format)],
            name: "set\(round)",
            pieceBytes: pieceBytes
          ) { $0.badRows = .skip }
          results.append("\(outcome.version?.digest ?? "") \(outcome.badRows)")
        } catch {
          results.append("\(error)")
        }
      }
      #expect(results[0] == results[1], "round \(round): \(bytes)")
    }
  }
}

/// Makes rows that a format can hold.
struct RandomRows {
  let format: FileFormat

  private static let pieces = [
    "a", "B", "0", " ", "é", "漢", "🙂", "\"", ",", "\\", "-", "\u{FEFF}", "\u{301}", "'", "{", "]",
  ]
  private static let breaks = ["\n", "\t", "\r", "\r\n", "\u{1}", "\u{7F}"]

  func row(_ kind: RowKind, _ generator: inout TestGenerator) -> DatasetRow {
    switch kind {
    case .tokenClassification:
      let count = Int.random(in: 1...12, using: &generator)
      var tags: [String] = []
      for index in 0..<count {
        let type = ["PER", "creative-work", "漢"].randomElement(using: &generator) ?? ""
        let last = index == 0 ? "O" : tags[index - 1]
        tags.append(
          [last == "O" ? "O" : "I-\(last.dropFirst(2))", "B-\(type)", "O"]
            .randomElement(using: &generator) ?? ""
        )
      }
      let tokens = (0..<count).map { _ in "x" + word(&generator, hasBreaks: format == .jsonl) }
      return .tokens(tokens, tags: tags)
    case .sequenceClassification:
      let label = ["x", "y z", "\"q\"", "a,b"].randomElement(using: &generator) ?? ""
      return .labelled(text: "x" + word(&generator, hasBreaks: true), label: label)
    case .chat:
      let count = Int.random(in: 0...4, using: &generator)
      let roles = ["system", "user", "assistant", "tool"]
      var messages = (0..<count).map { _ in
        ChatMessage(
          role: roles.randomElement(using: &generator) ?? "",
          content: word(&generator, hasBreaks: true)
        )
      }
      messages.append(ChatMessage(role: "assistant", content: "x"))
      return .chat(messages)
    case .text:
      return .text("x" + word(&generator, hasBreaks: format != .text))
    }
  }

  private func word(_ generator: inout TestGenerator, hasBreaks: Bool) -> String {
    let alphabet = Self.pieces + (hasBreaks ? Self.breaks : [])
    let count = Int.random(in: 0...20, using: &generator)
    return (0..<count).map { _ in alphabet.randomElement(using: &generator) ?? "" }.joined()
  }

  /// A sound file with some bytes changed, doubled or dropped.
  static func mutatedFile(
    _ format: FileFormat,
    _ generator: inout TestGenerator
  ) throws -> [UInt8] {
    let kinds = RoundTripTests.cases.filter { $0.0 == format }.map(\.1)
    let kind = kinds.randomElement(using: &generator) ?? .text
    let export = RowExport(format: format, textUnit: .paragraph)
    var bytes = try export.header(kind)
    let rows = RandomRows(format: format)
    for _ in 0..<Int.random(in: 1...6, using: &generator) {
      try export.append(rows.row(kind, &generator), to: &bytes)
    }
    let special = Array("\"\n\r\t ,{}[]:\\\0-O\u{FEFF}".utf8) + [0xFF, 0xC3, 0x80]
    for _ in 0..<Int.random(in: 0...6, using: &generator) where !bytes.isEmpty {
      let index = Int.random(in: 0..<bytes.count, using: &generator)
      switch Int.random(in: 0..<5, using: &generator) {
      case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
      case 1: bytes[index] = special.randomElement(using: &generator) ?? 0
      case 2: bytes.insert(special.randomElement(using: &generator) ?? 0, at: index)
      case 3: bytes.removeSubrange(index..<min(bytes.count, index + 7))
      default: bytes.insert(contentsOf: bytes[index..<min(bytes.count, index + 99)], at: index)
      }
    }
    return bytes
  }
}
