import Foundation
import JSON
import Testing

@testable import Tokenizers

/// The same texts split by Hugging Face `tokenizers` and by us.
@Suite(.enabled(if: Places.hasPeers, "the Python peers are not installed (LLMOS_PEERS)"))
struct PatternPeerTests {
  @Test func patternsWithAScannerSplitAsInHuggingFace() throws {
    try compare(SplitPatternTests.scanned, excluding: [])
  }

  @Test func otherPatternsSplitAsInHuggingFace() throws {
    let others = [
      #"\w+"#, #"\W+|\b"#, #"(?:\p{Lu}\p{Ll}*)+"#, #"\d+(?:[.,]\d+)*|\S"#, #"(?<=\p{L})(?=\p{N})"#,
      #"[[:space:]]+|[[:digit:]]+"#, #"(?i)the|[aeiou]+"#,
      #"\p{Hiragana}+|\p{Katakana}+|\p{Hangul}+"#,
      #"[^\p{L}\p{N}&&[^ ]]+"#, #"\s*$"#, #"^.*$"#, #"\R+"#, "", #"\h{2,}+"#,
      #"[\p{P}\p{S}&&[^']]|'\w*"#, #"(\p{L})\1"#, #"\p{Arabic}+|\p{Cyrillic}+|\p{Greek}+"#,
    ]
    let remaining = GGUFPatterns.rows.flatMap(\.texts).filter {
      (try? SplitPattern($0))?.isScanned != true
    }
    try compare(others + remaining, excluding: try PCRE2Tables.differences.get())
  }

  private func compare(_ patterns: [String], excluding excluded: Set<UInt32>) throws {
    var generator = PatternTexts(seed: 60, excluding: excluded)
    let texts = (0..<2_000).map { _ in generator.next() }
    let file = FileManager.default.temporaryDirectory
      .appending(path: "patterns-\(UUID().uuidString).json")
    defer { try? FileManager.default.removeItem(at: file) }
    let job: [String: [String]] = [
      "patterns": patterns, "texts": texts.map { String(decoding: $0, as: UTF8.self) },
    ]
    try JSONEncoder().encode(job).write(to: file)
    let rows = try Peer.lines("split.py", [file.path])
    #expect(rows.count == patterns.count)
    for (pattern, row) in zip(patterns, rows) {
      #expect(row.elements.count == texts.count, "\(pattern) is refused")
      let ours = try SplitPattern(pattern)
      var failures = 0
      for (text, pieces) in zip(texts, row.elements) {
        let lengths = try ours.pieceLengths(text)
        guard lengths != pieces.elements.compactMap(\.int) else { continue }
        failures += 1
        if failures <= 2 {
          let string = String(decoding: text, as: UTF8.self)
          Issue.record(
            "\(pattern): \(string.debugDescription): ours \(lengths), theirs \(pieces.elements.map(\.int))"
          )
        }
      }
      #expect(failures == 0, "\(pattern)")
    }
  }
}
