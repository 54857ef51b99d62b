import Testing

@testable import Tokenizers

/// What splitting costs at worst.
@Suite struct PatternCostTests {
  /// A megabyte of the same, over and over.
  static let runs: [(name: String, unit: String)] = [
    ("letters", "a"), ("capitals", "A"), ("spaces", " "), ("newlines", "\n"),
    ("emoji", "\u{1F600}"),
    ("digits", "7"), ("apostrophes", "'"), ("marks", "\u{301}"), ("Chinese", "\u{4E2D}"),
    ("slashes", "/"), ("words", "a "), ("lines", " \n"), ("cases", "aA"),
  ]

  @Test(arguments: SplitPatternTests.scanned)
  func aScannerTakesLinearTime(_ text: String) throws {
    let pattern = try SplitPattern(text)
    for run in Self.runs {
      let unit = Array(run.unit.utf8)
      // What a quadratic scan would need a day for, with and without an end that it fails at.
      for tail in ["", "x", " x", "\n"] {
        var bytes = [UInt8]()
        bytes.reserveCapacity(1 << 20 + 8)
        while bytes.count + unit.count <= 1 << 20 { bytes += unit }
        bytes += Array(tail.utf8)
        let count = try bytes.withUnsafeBufferPointer { buffer in
          try pattern.matchCount(in: buffer, 0..<buffer.count)
        }
        #expect(count <= bytes.count)
      }
    }
  }

  @Test func aPatternThatBacktracksEndlesslyIsStopped() throws {
    let text = [UInt8](repeating: UInt8(ascii: "a"), count: 40)
    let pattern = try SplitPattern("(a|a)*b")
    let error = #expect(throws: TokenizerError.self) { try pattern.matches(text) }
    #expect(error?.code == .limitExceeded)
    #expect(error?.message.contains("(a|a)*b") == true)
  }

  @Test(arguments: [
    "a++b", "a+b", "(?:a+)+$", "(?>a+)b", ".*?b", "(?=a*b)a", "(?<=b)a*b", #"(a)\1+b"#,
  ])
  func aPatternThatIsQuadraticInTheTextIsStopped(_ source: String) throws {
    let text = [UInt8](repeating: UInt8(ascii: "a"), count: 200_000) + [UInt8(ascii: "c")]
    let pattern = try SplitPattern(source)
    do {
      _ = try pattern.matches(text)
    } catch let error as TokenizerError {
      #expect(error.code == .limitExceeded)
    }
  }

  @Test func deepRecursionOfAPatternIsAnErrorAndNoOverflow() throws {
    let text = [UInt8](repeating: UInt8(ascii: "a"), count: 1 << 20)
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
