/// Whose reading of an expression holds where engines differ.
package enum PatternDialect: Sendable, Hashable {
  /// Oniguruma with Ruby's syntax, as in Hugging Face `tokenizers`.
  ///
  /// `^` and `$` are of lines, `(?m)` lets `.` match line feeds, `{1,3}+` repeats what `{1,3}`
  /// matches, `\h` is a hexadecimal digit, and `&&` intersects sets.
  case oniguruma
  /// Rust's `fancy-regex`, as in `tiktoken`.
  ///
  /// `^` and `$` are of the text, `(?s)` lets `.` match line feeds and `{1,3}+` is possessive.
  case fancyRegex
}

/// The bounds of splitting patterns, which files bring with them.
enum PatternLimits {
  /// The longest pattern; the longest in wide use has about 700 bytes.
  static let patternBytesMax = 8_192
  /// The deepest nesting of groups or of sets.
  static let nestingMax = 64
  /// What a search may cost whatever its text, and for each byte of it: steps of the engine, where
  /// a step is an element of the pattern tried, or a byte passed.
  static let stepsMin = 4_000_000
  static let stepsPerByteMax = 128
  /// Backtracking points of one match.
  static let backtracksMax: UInt32 = 10_000_000
  /// The memory for them.
  static let backtrackingKiBMax: UInt32 = 128 << 10
}
