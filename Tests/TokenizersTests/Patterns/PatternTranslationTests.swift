import Testing

@testable import Tokenizers

/// Patterns of any kind: what Oniguruma reads otherwise than PCRE2.
///
/// The pieces are those of `Split(Regex(pattern), "isolated")` in Hugging Face `tokenizers`.
@Suite struct PatternTranslationTests {
  static let cases: [(pattern: String, text: String, pieces: [String])] = [
    ("(?i:'s)", "a'\u{17F}'S's", ["a", "'\u{17F}", "'S", "'s"]),
    ("(?i:'k)", "a'\u{212A}'K", ["a", "'\u{212A}", "'K"]),
    (#"\p{N}{1,3}+"#, "1234567a", ["1234567", "a"]),
    (#"\s++$"#, "a \n b  ", ["a \n b", "  "]),
    (#"\s+$"#, "a \n b  ", ["a", " ", "\n b", "  "]),
    ("a.c", "a\ncabc", ["a\nc", "abc"]),
    ("(?m:a.c)", "a\rca\nc", ["a\rc", "a\nc"]),
    ("(?m)a.c", "a\ncabc", ["a\nc", "abc"]),
    (#"\h+"#, "xyzabc \t", ["xyz", "abc", " \t"]),
    ("a{,2}", "aaaaa", ["aa", "aa", "a"]),
    ("a{2}?", "aaaaa", ["aa", "aa", "a"]),
    ("a{1,2}?", "aaa", ["a", "a", "a"]),
    ("[a-z&&[^b]]+", "abc", ["a", "b", "c"]),
    ("[a[bc]]+", "abcd", ["abc", "d"]),
    ("[^a[bc]]+", "abcd", ["abc", "d"]),
    (#"[\p{L}&&[^\p{Han}]]+"#, "ab\u{4E2D}\u{6587}cd", ["ab", "\u{4E2D}\u{6587}", "cd"]),
    (#"\p{Letter}+"#, "ab1", ["ab", "1"]),
    (#"\p{Alpha}+"#, "ab1", ["ab", "1"]),
    (#"\p{^L}+"#, "ab1", ["ab", "1"]),
    (#"\P{L}+"#, "ab1", ["ab", "1"]),
    (#"\p{han}+"#, "a\u{4E2D}", ["a", "\u{4E2D}"]),
    ("(?i)[a-c]+", "ABCabc", ["ABCabc"]),
    (#"\pL"#, "aB1", ["aB1"]),
    (#"(?<n>a)\k<n>"#, "aab", ["aa", "b"]),
    (#"\u0041"#, "BAB", ["B", "A", "B"]),
    (#"\x{41}"#, "BAB", ["B", "A", "B"]),
    (#"\w+"#, "a_b\u{203F}c\u{301}d", ["a_b\u{203F}c\u{301}d"]),
    (#"\b"#, "ab cd", ["ab", " ", "cd"]),
    ("", "abc", ["a", "b", "c"]),
    ("x*", "axxb", ["a", "xx", "b"]),
    ("(?=b)", "abab", ["a", "ba", "b"]),
    ("[]a]", "]a", ["]", "a"]),
    ("[^]a]", "]ab", ["]a", "b"]),
    ("[[:alpha:]]+", "ab\u{E9}1", ["ab\u{E9}", "1"]),
    (#"\R"#, "a\r\nb\nc\u{2028}d", ["a", "\r\n", "b", "\n", "c", "\u{2028}", "d"]),
    (#"\X"#, "e\u{301}a", ["e\u{301}", "a"]),
    ("(?>a+)b", "aab", ["aab"]),
    ("(?<!a)b", "abbb", ["ab", "b", "b"]),
    (#"\Ga"#, "aab", ["a", "a", "b"]),
    (#"\Aa"#, "aa", ["a", "a"]),
    (#"b\Z"#, "abb\n", ["ab", "b", "\n"]),
    (#"a\Kb"#, "ab", ["a", "b"]),
    (#"(a)\1"#, "aab", ["aa", "b"]),
    (#"\Qa.b\E"#, "a.b", ["a.b"]),
    ("{", "a{b", ["a", "{", "b"]),
    ("a{", "a{b", ["a{", "b"]),
    ("]", "a]b", ["a", "]", "b"]),
    ("a**", "aaa", ["aaa"]),
    ("a+*", "aaa", ["aaa"]),
    ("a?+b", "aab", ["a", "ab"]),
    ("a++a", "aaab", ["aaab"]),
    ("a{2,}+a", "aaaab", ["aaaa", "b"]),
    ("(?#hi)a", "ba", ["b", "a"]),
    ("(?x) a b #c", "abab", ["ab", "ab"]),
    (
      #"\s"#, "\u{180E}\u{200B}\u{85}\u{A0}\u{1C}\u{2028}",
      ["\u{180E}\u{200B}", "\u{85}", "\u{A0}", "\u{1C}", "\u{2028}"]
    ),
    ("^a", "ba\na\n", ["ba\n", "a", "\n"]),
    ("a$", "a\na\r\na", ["a", "\na\r\n", "a"]),
    (#"\v"#, "\u{B}\n\r", ["\u{B}", "\n\r"]),
    (#"\p{Punct}"#, "$a,+", ["$a", ",", "+"]),
    ("[[:punct:]]", "$a,+", ["$", "a", ",", "+"]),
    (#"\p{Lower}+"#, "a\u{AA}B", ["a\u{AA}", "B"]),
    (#"\p{Emoji}"#, "a\u{1F600}1", ["a", "\u{1F600}", "1"]),
  ]

  @Test(arguments: cases.indices)
  func aPatternIsReadAsOnigurumaDoes(_ index: Int) throws {
    let (pattern, text, pieces) = Self.cases[index]
    #expect(try SplitPattern(pattern).pieces(text) == pieces, "\(pattern)")
    #expect(try SplitPattern(compiling: pattern).pieces(text) == pieces, "\(pattern), compiled")
  }

  @Test(
    arguments: [
      ("(?s)a.c", 2), ("(?P<n>a)", 2), ("(?u)a", 2), (")", 0), ("a(b", 3), ("ab*(*c)", 4),
      (#"\p{Foo}"#, 7), (#"\p{Script=Han}"#, 2), (#"[a-\d]"#, 5), (#"[\w-z]"#, 3), ("(*UTF)", 1),
      ("a|*", 2), ("[ab", 0), ("[b-a]", 4), (#"a\"#, 1), ("(?~a)", 2), ("(?R)", 2), ("[]", 0),
      (#"\x{110000}"#, 10), (#"\g{1}"#, 0), (#"\C"#, 0), ("(?<=a*)b", 0), ("a{3,1}", 6),
    ])
  func anErrorNamesThePatternAndThePosition(_ pattern: String, _ position: Int) {
    let error = #expect(throws: TokenizerError.self) { try SplitPattern(pattern) }
    #expect(error?.code == .invalidFile)
    let message = error?.message ?? ""
    #expect(message.hasPrefix("pattern \"\(pattern)\": "), "\(message)")
    #expect(message.hasSuffix("at character \(position)"), "\(message)")
  }

  @Test func nestingAndLengthAreBounded() {
    for pattern in [
      String(repeating: "(", count: 5_000) + String(repeating: ")", count: 5_000),
      String(repeating: "(", count: 500) + "a" + String(repeating: ")", count: 500),
      String(repeating: "[a", count: 500) + String(repeating: "]", count: 500),
      "a" + String(repeating: "*", count: 2_000), "(?:a{1000}){1000}{1000}",
      String(repeating: "a", count: 10_000),
    ] {
      // Refused or compiled, but in no time and without overflow.
      _ = try? SplitPattern(pattern).matches("aaa")
    }
  }

  @Test func fancyRegexReadsLineEndsAndIntervalsOtherwise() throws {
    func pieces(_ pattern: String, _ text: String) throws -> [String] {
      try SplitPattern(pattern, dialect: .fancyRegex).pieces(text)
    }
    #expect(try pieces(#"a$"#, "a\na") == ["a\n", "a"])
    #expect(try pieces(#"^a"#, "ab\na") == ["a", "b\na"])
    #expect(try pieces(#"\p{N}{1,3}+"#, "12345") == ["123", "45"])
    #expect(try pieces("(?s)a.", "a\nb") == ["a\n", "b"])
    #expect(try pieces("(?P<n>a)", "ab") == ["a", "b"])
  }
}
