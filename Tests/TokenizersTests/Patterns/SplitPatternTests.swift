import Testing

@testable import Tokenizers

/// Scanners against PCRE2: the same matches in random texts.
@Suite struct SplitPatternTests {
  /// Patterns with a scanner of their own, and what GGUF names mean.
  static let scanned: [String] = {
    var texts = KnownPatterns.rows.map(\.text)
    for text in GGUFPatterns.rows.flatMap(\.texts) where !texts.contains(text) {
      if (try? SplitPattern(text))?.isScanned == true { texts.append(text) }
    }
    return texts + [#"\d+"#, #"\p{N}{2,4}"#, " ", "aa", #"[^\r\n]+"#, #" ?[\p{Han}々-〇]+"#]
  }()

  @Test(arguments: scanned)
  func aScannerFindsWhatPCRE2Finds(_ text: String) throws {
    try compare(text, .oniguruma, count: 20_000)
  }

  @Test func scannersFindWhatPCRE2FindsInFancyRegexToo() throws {
    for row in KnownPatterns.rows where row.fancyRegex != nil {
      try compare(row.text, .fancyRegex, count: 20_000)
    }
  }

  private func compare(_ text: String, _ dialect: PatternDialect, count: Int) throws {
    let scanner = try SplitPattern(text, dialect: dialect)
    let compiled = try SplitPattern(compiling: text, dialect: dialect)
    #expect(scanner.isScanned)
    #expect(!compiled.isScanned)
    var texts = PatternTexts(seed: 6, excluding: try PCRE2Tables.differences.get())
    var failures = 0
    for _ in 0..<count {
      let bytes = texts.next()
      let ours = try scanner.matches(bytes)
      let theirs = try compiled.matches(bytes)
      guard ours != theirs else { continue }
      failures += 1
      if failures <= 3 {
        let string = String(decoding: bytes, as: UTF8.self)
        Issue.record("\(string.debugDescription): ours \(ours), PCRE2's \(theirs)")
      }
    }
    #expect(failures == 0)
  }

  @Test func pcre2KnowsUnicodeAsWeDoButForALittle() throws {
    // Another release of Unicode adds some thousands; none of them is in common use.
    let differences = try PCRE2Tables.differences.get()
    print("PCRE2 differs in \(differences.count) scalars")
    #expect(differences.count < 20_000)
    #expect(!differences.contains { $0 < 0x370 })
  }

  @Test func everyNameOfAGGUFFileHasItsPatterns() throws {
    for name in SplitPattern.namesInGGUF {
      let patterns = try #require(try SplitPattern.sequence(forGGUF: name))
      #expect(!patterns.isEmpty)
    }
    #expect(Set(SplitPattern.namesInGGUF).count == SplitPattern.namesInGGUF.count)
    #expect(try SplitPattern.sequence(forGGUF: "gpt-3") == nil)
  }

  @Test func aSequenceSplitsWhatTheOneBeforeLeft() throws {
    func pieces(_ name: String, _ text: String) throws -> [String] {
      let patterns = try #require(try SplitPattern.sequence(forGGUF: name))
      let utf8 = Array(text.utf8)
      var pieces: [String] = []
      try utf8.withUnsafeBufferPointer { bytes in
        try patterns.forEachPiece(in: bytes, 0..<utf8.count) { range in
          pieces.append(String(decoding: bytes[range], as: UTF8.self))
        }
      }
      return pieces
    }
    #expect(try pieces("starcoder", "a 12b") == ["a", " ", "1", "2", "b"])
    #expect(try pieces("superbpe", "x1234567 12") == ["x", "1", "234", "567", " ", "12"])
    #expect(try pieces("tiny_aya", "a 1234567.") == ["a", " ", "1", "234", "567", "."])
    #expect(try pieces("deepseek-v3", "(don't 1234中文") == ["(don", "'t", " ", "123", "4", "中文"])
    #expect(try pieces("kimi-k2", "Hi中文don't") == ["Hi", "中文", "don't"])
    #expect(try pieces("falcon", "a, b 12345").joined() == "a, b 12345")
  }

  @Test func lineEndsInAPatternMayBeEscapedOrNot() throws {
    let escaped = KnownPatterns.deepSeekV3
    let plain = escaped.replacing(#"\r\n"#, with: "\r\n")
    #expect(plain != escaped)
    #expect(try SplitPattern(plain).isScanned)
  }

  @Test func longSOfAContractionMatchesWhereCaseDoesNotCount() throws {
    #expect(try SplitPattern(KnownPatterns.qwen2).matches("a'\u{17F}b") == ["a", "'\u{17F}", "b"])
    #expect(try SplitPattern(KnownPatterns.gpt2).matches("a'\u{17F}b") == ["a", "'", "\u{17F}b"])
    #expect(try SplitPattern(KnownPatterns.qwen2).matches("a'\u{15F}") == ["a", "'\u{15F}"])
  }
}
