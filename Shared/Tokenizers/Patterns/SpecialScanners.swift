/// Finds the matches of patterns that group digits from the right, for which an expression engine
/// reads the rest of the run at each of them.
struct DigitGroupScanner: Sendable {
  enum Kind: Sendable {
    /// `(?=(\d{3})+(?!\d))`: an empty match before each whole group.
    case boundaries
    /// `\d{1,3}(?=(?:\d{3})*\b)`: groups, of a run that ends at the end of a word.
    case groups
    /// `\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))`: groups of any numbers.
    case groupsOfNumbers
  }

  private let kind: Kind
  private let members: ScalarCategories
  private static let size = 3
  private let categories = ScalarCategoryTable.shared

  /// A scanner of `kind`.
  init(_ kind: Kind) {
    self.kind = kind
    members = kind == .groupsOfNumbers ? .numbers : .digit
  }

  /// Calls `body` with each match in `text[range]`, from first to last.
  @inline(__always)
  func forEachMatch(
    in text: UnsafePointer<UInt8>,
    _ range: Range<Int>,
    _ body: (Range<Int>) throws(TokenizerError) -> Void
  ) throws(TokenizerError) {
    let end = range.upperBound
    var index = range.lowerBound
    while index < end {
      var (scalar, length) = text.scalar(at: index)
      guard !categories[scalar].isDisjoint(with: members) else {
        index += length
        continue
      }
      let start = index
      var count = 0
      var endsWord = true
      while index < end {
        (scalar, length) = text.scalar(at: index)
        let of = categories[scalar]
        guard !of.isDisjoint(with: members) else {
          endsWord = !of.contains(.word)
          break
        }
        index += length
        count += 1
      }
      if kind != .groups || endsWord { try group(text, start..<index, count, body) }
    }
  }

  /// The matches in `run`, which are `count` digits.
  private func group(
    _ text: UnsafePointer<UInt8>,
    _ run: Range<Int>,
    _ count: Int,
    _ body: (Range<Int>) throws(TokenizerError) -> Void
  ) throws(TokenizerError) {
    var start = run.lowerBound
    var left = count
    while left > 0 {
      let size = left % Self.size == 0 ? Self.size : left % Self.size
      var stop = start
      for _ in 0..<size { stop += text.scalar(at: stop).length }
      switch kind {
      case .groups, .groupsOfNumbers: try body(start..<stop)
      case .boundaries: if size == Self.size { try body(start..<start) }
      }
      start = stop
      left -= size
    }
  }
}

/// Finds the matches of `\s+$`: white space before a line's end, or the text's.
struct TrailingSpaceScanner: Sendable {
  private let categories = ScalarCategoryTable.shared

  /// Calls `body` with each match in `text[range]`, from first to last; none is empty.
  @inline(__always)
  func forEachMatch(
    in text: UnsafePointer<UInt8>,
    _ range: Range<Int>,
    _ body: (Range<Int>) throws(TokenizerError) -> Void
  ) throws(TokenizerError) {
    let end = range.upperBound
    var index = range.lowerBound
    while index < end {
      let start = index
      // Behind the run, and before the last line feed in it.
      var line = start
      while index < end {
        let (scalar, length) = text.scalar(at: index)
        guard categories[scalar].contains(.whitespace) else { break }
        if scalar == 0x0A { line = index }
        index += length
      }
      if index == end, index > start {
        try body(start..<end)
      } else if line > start {
        try body(start..<line)
      }
      if index < end { index += text.scalar(at: index).length }
    }
  }
}
