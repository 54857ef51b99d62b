import Testing

@testable import Generation

@Suite("Stop texts")
struct StopMatcherTests {
  /// What is before the stop text that is complete first, the longest of those; nil without one.
  private func naive(_ text: String, _ stop: [String]) -> String? {
    let bytes = Array(text.utf8)
    for end in 0...bytes.count {
      let matches = stop.map { Array($0.utf8) }.filter {
        bytes[..<end].reversed().starts(with: $0.reversed())
      }
      if let longest = matches.map(\.count).max() {
        return String(decoding: bytes[..<(end - longest)], as: UTF8.self)
      }
    }
    return nil
  }

  @Test("text that may begin a stop text is held back until it is known")
  func holds() {
    var matcher = StopMatcher(["\n\nUser:"])
    #expect(matcher.append("Hello\n") == "Hello")
    #expect(matcher.append("\nUse") == "")
    #expect(matcher.append(" it") == "\n\nUse it")
    #expect(matcher.append("\n\nUser") == "" && !matcher.isMatched)
    #expect(matcher.append(": hi") == "" && matcher.isMatched)
    #expect(matcher.append("more") == "" && matcher.finish() == "")
  }

  @Test("what is held back at the end is given out")
  func finishes() {
    var matcher = StopMatcher(["END"])
    #expect(matcher.append("the EN") == "the ")
    #expect(matcher.finish() == "EN")
  }

  @Test("without stop texts everything passes")
  func passes() {
    var matcher = StopMatcher([])
    #expect(matcher.append("abc") == "abc" && matcher.finish() == "")
  }

  @Test("any cut of any text gives what a search in the whole text gives")
  func property() {
    var random = Xoshiro256StarStar(seed: 42)
    let alphabet = ["a", "b", "c", "é", "😀", "e\u{301}"]
    func text(_ range: ClosedRange<Int>) -> String {
      (0..<Int.random(in: range, using: &random)).map { _ in
        alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
      }.joined()
    }
    for _ in 0..<2000 {
      let stop = (0..<Int.random(in: 0...4, using: &random)).map { _ in text(1...5) }
      let whole = text(0...24)
      var matcher = StopMatcher(stop)
      var output = ""
      var rest = Array(whole.unicodeScalars)[...]
      while !rest.isEmpty {
        let count = Int.random(in: 1...min(3, rest.count), using: &random)
        output += matcher.append(String(String.UnicodeScalarView(rest.prefix(count))))
        rest = rest.dropFirst(count)
        let expected = naive(whole, stop) ?? whole
        #expect(Array(expected.utf8).starts(with: Array(output.utf8)))
      }
      output += matcher.finish()
      let expected = naive(whole, stop)
      #expect(Array(output.utf8) == Array((expected ?? whole).utf8), "\(whole) \(stop)")
      #expect(matcher.isMatched == (expected != nil))
    }
  }
}
