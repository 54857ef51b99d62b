/// A pattern that splits text before its pieces are tokenized, as `Split` in tokenizer.json has it.
///
/// Patterns that models are known to use are found by scanners written for them, some hundred times
/// as fast as by an expression engine; all others are compiled by PCRE2. Both find the same.
package struct SplitPattern: Sendable {
  /// The pattern as it was given.
  package let text: String
  private let engine: Engine

  private enum Engine: Sendable {
    case words(WordScanner)
    case runs(RunScanner)
    case digitGroups(DigitGroupScanner)
    case trailingSpace(TrailingSpaceScanner)
    case compiled(CompiledPattern)
  }

  /// Takes the scanner written for `pattern`, or compiles it.
  ///
  /// Throws `invalidFile`, naming the pattern and the position, when it is not a pattern, and
  /// `limitExceeded` when it is longer than `PatternLimits` allow.
  package init(
    _ pattern: String,
    dialect: PatternDialect = .oniguruma
  ) throws(TokenizerError) {
    text = pattern
    if let scanner = KnownPatterns.scanner(of: pattern, dialect) {
      engine = .words(scanner)
    } else if let scanner = RunScanner(pattern) {
      engine = .runs(scanner)
    } else {
      switch pattern {
      case #"(?=(\d{3})+(?!\d))"#: engine = .digitGroups(DigitGroupScanner(.boundaries))
      case #"\d{1,3}(?=(?:\d{3})*\b)"#: engine = .digitGroups(DigitGroupScanner(.groups))
      case #"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))"#:
        engine = .digitGroups(DigitGroupScanner(.groupsOfNumbers))
      case #"\s+$"# where dialect == .oniguruma: engine = .trailingSpace(TrailingSpaceScanner())
      default: engine = .compiled(try CompiledPattern(pattern, dialect))
      }
    }
  }

  /// Compiles `pattern` even if there is a scanner for it: what the scanners are compared with.
  package init(
    compiling pattern: String,
    dialect: PatternDialect = .oniguruma
  ) throws(TokenizerError) {
    text = pattern
    engine = .compiled(try CompiledPattern(pattern, dialect))
  }

  /// Whether a scanner was written for it, which takes linear time and cannot fail.
  package var isScanned: Bool { if case .compiled = engine { false } else { true } }

  /// Calls `body` with each match in `bytes[range]`, valid UTF-8, from first to last.
  ///
  /// What lies before or behind the range is not seen. An empty match right behind another match
  /// does not count. Nothing is allocated for a match. Throws what `body` throws, and
  /// `limitExceeded` when a compiled pattern costs more than `PatternLimits` allow.
  @inline(__always)
  package func forEachMatch(
    in bytes: UnsafeBufferPointer<UInt8>,
    _ range: Range<Int>,
    _ body: (Range<Int>) throws(TokenizerError) -> Void
  ) throws(TokenizerError) {
    precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count)
    guard let text = bytes.baseAddress, !range.isEmpty else { return }
    if case .words(let scanner) = engine {
      try scanner.forEachMatch(in: text, range, body)
    } else {
      try forEachOtherMatch(in: text, range, body)
    }
  }

  /// Calls `body` with each match and with what lies between matches, from first to last.
  ///
  /// These are the pieces of a `Split` whose behavior is `Isolated`; none is empty.
  @inline(__always)
  package func forEachPiece(
    in bytes: UnsafeBufferPointer<UInt8>,
    _ range: Range<Int>,
    _ body: (Range<Int>) throws(TokenizerError) -> Void
  ) throws(TokenizerError) {
    var done = range.lowerBound
    try forEachMatch(in: bytes, range) { match throws(TokenizerError) in
      if done < match.lowerBound { try body(done..<match.lowerBound) }
      if !match.isEmpty { try body(match) }
      done = match.upperBound
    }
    if done < range.upperBound { try body(done..<range.upperBound) }
  }

  /// How many matches there are in `bytes[range]`: what finding them costs, for benchmarks.
  package func matchCount(
    in bytes: UnsafeBufferPointer<UInt8>,
    _ range: Range<Int>
  ) throws(TokenizerError) -> Int {
    var count = 0
    try forEachMatch(in: bytes, range) { _ in count &+= 1 }
    return count
  }

  private func forEachOtherMatch(
    in text: UnsafePointer<UInt8>,
    _ range: Range<Int>,
    _ body: (Range<Int>) throws(TokenizerError) -> Void
  ) throws(TokenizerError) {
    switch engine {
    case .words(let scanner): try scanner.forEachMatch(in: text, range, body)
    case .runs(let scanner): try scanner.forEachMatch(in: text, range, body)
    case .digitGroups(let scanner): try scanner.forEachMatch(in: text, range, body)
    case .trailingSpace(let scanner): try scanner.forEachMatch(in: text, range, body)
    case .compiled(let pattern): try pattern.forEachMatch(in: text, range, body)
    }
  }
}

extension Array<SplitPattern> {
  /// Calls `body` with the pieces of `bytes[range]` that are left when each pattern in turn has split
  /// those of the one before; none is empty.
  package func forEachPiece(
    in bytes: UnsafeBufferPointer<UInt8>,
    _ range: Range<Int>,
    _ body: (Range<Int>) throws(TokenizerError) -> Void
  ) throws(TokenizerError) {
    precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count)
    guard let text = bytes.baseAddress, !range.isEmpty else { return }
    guard let last else { return try body(range) }
    var pieces = [range]
    var split: [Range<Int>] = []
    for pattern in dropLast() {
      split.removeAll(keepingCapacity: true)
      try pattern.split(text, pieces, into: &split)
      swap(&pieces, &split)
    }
    for piece in pieces { try last.forEachPiece(in: bytes, piece, body) }
  }
}

extension SplitPattern {
  /// Appends the pieces of each of `pieces` to `split`.
  fileprivate func split(
    _ text: UnsafePointer<UInt8>,
    _ pieces: [Range<Int>],
    into split: inout [Range<Int>]
  ) throws(TokenizerError) {
    switch engine {
    case .words(let scanner):
      for piece in pieces {
        var done = piece.lowerBound
        scanner.forEachMatch(in: text, piece) { split.append(match: $0, &done) }
        split.append(rest: piece, done)
      }
    case .runs(let scanner):
      for piece in pieces {
        var done = piece.lowerBound
        try scanner.forEachMatch(in: text, piece) { split.append(match: $0, &done) }
        split.append(rest: piece, done)
      }
    default:
      for piece in pieces {
        var done = piece.lowerBound
        try forEachOtherMatch(in: text, piece) { split.append(match: $0, &done) }
        split.append(rest: piece, done)
      }
    }
  }
}

extension Array<Range<Int>> {
  /// Appends what is between `done` and a match, and the match.
  @inline(__always)
  fileprivate mutating func append(match: Range<Int>, _ done: inout Int) {
    if done < match.lowerBound { append(done..<match.lowerBound) }
    if !match.isEmpty { append(match) }
    done = match.upperBound
  }

  /// Appends what is behind the last match.
  @inline(__always)
  fileprivate mutating func append(rest piece: Range<Int>, _ done: Int) {
    if done < piece.upperBound { append(done..<piece.upperBound) }
  }
}
