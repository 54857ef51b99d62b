import Testing

@testable import Tokenizers

/// What splitting costs at worst.
@Suite struct PatternCostTests {
  /// A megabyte of the same, over and over.
  static let runs: [(name: String, unit: String)] = [
    ("letters", "a"), ("capitals", "A"), ("spaces", " "), ("newlines", "\n"),
    ("emoji", "\u{1F600}"),
    ("digits", "7"), ("apostrophes", "'"), ("marks", "\u{301}"), ("Chinese", "\u{4E2D}"),
    ("lines", " \n"), ("cases", "aA"),
  ]

  /// One of each kind; the others get less, for debug builds are slow.
  static let kinds = [
    KnownPatterns.gpt2, KnownPatterns.llama3, KnownPatterns.qwen2, KnownPatterns.o200k,
    KnownPatterns.kimiK2, KnownPatterns.deepSeekV3,
  ]

  @Test(arguments: SplitPatternTests.scanned)
  func aScannerTakesLinearTime(_ text: String) throws {
    let pattern = try SplitPattern(text)
    let size = Self.kinds.contains(text) ? 1 << 20 : 1 << 17
    for run in Self.runs {
      let unit = Array(run.unit.utf8)
      // A quadratic scan would need hours; with an end before which the patterns give back.
      var bytes = [UInt8]()
      bytes.reserveCapacity(size + 8)
      while bytes.count + unit.count <= size { bytes += unit }
      bytes.append(UInt8(ascii: "x"))
      let count = try bytes.withUnsafeBufferPointer { buffer in
        try pattern.matchCount(in: buffer, 0..<buffer.count)
      }
      #expect(count <= bytes.count)
    }
  }

  @Test func aPatternThatBacktracksEndlesslyIsStopped() throws {
    let text = [UInt8](repeating: UInt8(ascii: "a"), count: 40)
    let pattern = try SplitPattern("(a|a)*[bd]")
    let error = #expect(throws: TokenizerError.self) { try pattern.matches(text) }
    #expect(error?.code == .limitExceeded)
    #expect(error?.message.contains("(a|a)*[bd]") == true)
  }

  @Test(arguments: [
    "a++b", "a+b", "(?:a+)+$", "(?>a+)b", ".*?b", "(?=a*b)a", "(?<=b)a*b", #"(a)\1+b"#,
  ])
  func aPatternThatIsQuadraticInTheTextIsStopped(_ source: String) throws {
    let text = [UInt8](repeating: UInt8(ascii: "a"), count: 20_000) + [UInt8(ascii: "c")]
    let pattern = try SplitPattern(source)
    do {
      _ = try pattern.matches(text)
    } catch let error as TokenizerError {
      #expect(error.code == .limitExceeded)
    }
  }

  @Test func deepRecursionOfAPatternIsAnErrorAndNoOverflow() throws {
    let text = [UInt8](repeating: UInt8(ascii: "a"), count: 1 << 18)
    for source in [#"(?:a(?: a)*)+x"#, "(a|b)*c", "(?<n>a(?:\\g<n>)?)", "(?:(?:a|b)(?:c|))*d"] {
      let pattern = try SplitPattern(source)
      do {
        _ = try pattern.matches(text)
      } catch let error as TokenizerError {
        #expect(error.code == .limitExceeded)
      }
    }
  }
}
