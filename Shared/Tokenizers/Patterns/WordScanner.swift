/// Finds the matches of a `WordPattern` in one pass, without a regular expression engine.
///
/// Each alternative of these patterns is told from the others by one or two scalars, and what it
/// gives back on failure is known, so no scalar is looked at more than a few times.
///
/// Unchecked: what `flags` and `pairs` lead to is written once, in `init`, and is never freed; scanners
/// are made for the rows of a table.
struct WordScanner: @unchecked Sendable {
  let pattern: WordPattern
  /// Of the ASCII characters, then of each set of categories.
  private let flags: UnsafePointer<UInt16>
  /// `WordPattern.Pair` of each two ASCII characters.
  private let pairs: UnsafePointer<UInt8>
  private let categories = ScalarCategoryTable.shared

  init(_ pattern: WordPattern) {
    self.pattern = pattern
    let sets = 1 << ScalarCategories.bitCount
    let flags = UnsafeMutablePointer<UInt16>.allocate(capacity: 128 + sets)
    for scalar in 0..<128 {
      let of = pattern.flags(categories[UInt32(scalar)], ascii: UInt8(scalar))
      (flags + scalar).initialize(to: of.rawValue)
    }
    for set in 0..<sets {
      let of = pattern.flags(ScalarCategories(rawValue: UInt16(set)), ascii: nil)
      (flags + 128 + set).initialize(to: of.rawValue)
    }
    self.flags = UnsafePointer(flags)
    let pairs = UnsafeMutablePointer<UInt8>.allocate(capacity: 128 * 128)
    for pair in 0..<128 * 128 {
      (pairs + pair).initialize(
        to: pattern.pair(
          UInt8(pair >> 7),
          WordPattern.Flags(rawValue: flags[pair >> 7]),
          UInt8(pair & 127),
          WordPattern.Flags(rawValue: flags[pair & 127])
        ).rawValue
      )
    }
    self.pairs = UnsafePointer(pairs)
  }

  /// Calls `body` with each match in `text[range]`, from first to last; none is empty.
  @inline(__always)
  func forEachMatch<Failure: Error>(
    in text: UnsafePointer<UInt8>,
    _ range: Range<Int>,
    _ body: (Range<Int>) throws(Failure) -> Void
  ) throws(Failure) {
    let end = range.upperBound
    let isCased = pattern.isCased
    let pairs = pairs
    let unknown = WordPattern.Pair.unknown.rawValue
    var index = range.lowerBound
    while index < end {
      var stop = 0
      let first = text[index]
      let second = index &+ 1 < end ? text[index &+ 1] : 0x80
      let pair = first | second < 0x80 ? pairs[Int(first) &<< 7 | Int(second)] : unknown
      if pair != unknown {
        // Whether it is a word is not asked before the word's end is found: nothing in a text says
        // which pieces are words, so that the processor would guess wrong as often as not.
        let isSingle = pair == WordPattern.Pair.single.rawValue
        // A word goes on behind its first character in any case, so that its end does not wait for
        // the look-up.
        let run =
          isCased
          ? ASCIIRun.casedEnd(text, index &+ 1, end, isBehindLower: first &- 0x61 < 26)
          : ASCIIRun.letters.end(text, index &+ 1, end)
        stop = isSingle ? index &+ 1 : run
        if run < end {
          let next = text[run]
          if next >= 0x80 {
            if !isSingle { stop = isCased ? 0 : wordEnd(text, run, end) }
          } else if isCased, next == UInt8(ascii: "'"), !isSingle,
            pattern.contractions == .foldedSuffix
          {
            stop = contractionEnd(text, run, end) ?? run
          }
        }
      }
      if stop == 0 { stop = matchEnd(text, index, end) }
      if stop > index {
        try body(index..<stop)
        index = stop
      } else {
        index &+= text.scalar(at: index).length
      }
    }
  }

  /// The flags and the length of the scalar at `index`; none and 0 at the end.
  @inline(__always)
  private func flags(
    _ text: UnsafePointer<UInt8>,
    _ index: Int,
    _ end: Int
  ) -> (flags: WordPattern.Flags, length: Int) {
    guard index < end else { return ([], 0) }
    let first = text[index]
    if first < 0x80 { return (WordPattern.Flags(rawValue: flags[Int(first)]), 1) }
    let (scalar, length) = text.wideScalar(at: index)
    return (
      WordPattern.Flags(rawValue: flags[128 &+ Int(categories[scalar].rawValue)]), length
    )
  }

  /// The end of the match that begins at `start`; `start` if none does.
  @inline(never)
  private func matchEnd(_ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
    let first = text[start]
    let (kinds, length) = flags(text, start, end)
    if kinds.contains(.han) { return runEnd(.han, text, start &+ length, end) }
    if first == UInt8(ascii: "'"),
      pattern.contractions == .exact || pattern.contractions == .folded,
      let end = contractionEnd(text, start, end)
    {
      return end
    }
    if kinds.contains(.punctuation) {
      let stop = ASCIIRun.letters.end(text, start &+ 1, end)
      if stop > start &+ 1 { return stop }
    }
    let next = start &+ length
    if pattern.isCased {
      if let stop = casedWordEnd(text, start, kinds, next, end) { return stop }
    } else {
      if kinds.contains(.letter) { return wordEnd(text, next, end) }
      if kinds.contains(.prefix) {
        let (following, size) = flags(text, next, end)
        if following.contains(.letter) { return wordEnd(text, next &+ size, end) }
      }
    }
    if kinds.contains(.number), pattern.numbersMax > 0 { return numbersEnd(text, start, end) }
    if kinds.contains(.other) { return othersEnd(text, next, end) }
    if first == 0x20 {
      let (following, size) = flags(text, next, end)
      if pattern.spaceBeforeNumbers, following.contains(.number) {
        return numbersEnd(text, next, end)
      }
      if following.contains(.other) { return othersEnd(text, next &+ size, end) }
    }
    return kinds.contains(.space) ? spacesEnd(text, start, end) : start
  }

  /// The end of the run of scalars of `kind` that goes on at `start`.
  @inline(__always)
  private func runEnd(
    _ kind: WordPattern.Flags,
    _ text: UnsafePointer<UInt8>,
    _ start: Int,
    _ end: Int
  ) -> Int {
    var index = start
    while true {
      let (kinds, length) = flags(text, index, end)
      guard !kinds.isDisjoint(with: kind) else { return index }
      index &+= length
    }
  }

  /// The end of the word that goes on at `start`, which is behind a letter.
  @inline(never)
  private func wordEnd(_ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
    guard pattern.joinsWords else { return runEnd(.letter, text, start, end) }
    var index = start
    while true {
      index = runEnd([.letter, .mark], text, index, end)
      guard index < end, text[index] == 0x20 else { return index }
      let (kinds, length) = flags(text, index &+ 1, end)
      guard kinds.contains(.letter) else { return index }
      index &+= 1 &+ length
    }
  }

  /// The end of the numbers that begin at `start`.
  @inline(__always)
  private func numbersEnd(_ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
    var index = start
    var count = 0
    while count < pattern.numbersMax {
      let (kinds, length) = flags(text, index, end)
      guard kinds.contains(.number) else { break }
      index &+= length
      count &+= 1
    }
    return index
  }

  /// The end of the piece of other characters that goes on at `start`.
  @inline(__always)
  private func othersEnd(_ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
    var index = runEnd(.other, text, start, end)
    guard pattern.following != .nothing else { return index }
    while index < end {
      let byte = text[index]
      let goesOn =
        byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r")
        || byte == UInt8(ascii: "/") && pattern.following != .newlines
      guard goesOn else { break }
      index &+= 1
      if pattern.following == .newlineOrSlash { break }
    }
    return index
  }

  /// The end of the white space that begins at `start`; `start` if it matches nothing.
  @inline(__always)
  private func spacesEnd(_ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
    if pattern.newlines == .single, text[start] == 0x0A || text[start] == 0x0D {
      return start &+ 1
    }
    var index = start
    // Where the last character of the run begins, and the last line end in it ends.
    var last = start
    var lines = start
    while true {
      let spaces = ASCIIRun.spacesEnd(text, index, end)
      if spaces > index {
        index = spaces
        last = index &- 1
      }
      let (kinds, length) = flags(text, index, end)
      guard kinds.contains(.space) else { break }
      last = index
      index &+= length
      if kinds.contains(.newline) { lines = index }
    }
    switch pattern.newlines {
    case .plain, .single: break
    case .runs: if lines > start { return lines }
    case .runsUnlessLast: if lines > start, index < end { return lines }
    }
    // `\s+(?!\S)` leaves the last character before something else; then `\s+` takes it.
    return index < end && last > start ? last : index
  }
}

extension WordScanner {
  /// The end of the cased word that begins at `start`, if one does: `P?X*Y+`, else `P?X+Y*`.
  ///
  /// The scalar at `start` has the flags `kinds`, and the one behind it begins at `next`.
  private func casedWordEnd(
    _ text: UnsafePointer<UInt8>,
    _ start: Int,
    _ kinds: WordPattern.Flags,
    _ next: Int,
    _ end: Int
  ) -> Int? {
    var found: Int?
    // Where X* ends, with the prefix and without.
    var prefixed = next
    var bare = start
    if kinds.contains(.prefix) { (found, prefixed) = lowered(text, next, end) }
    if found == nil, kinds.contains(.upper) || kinds.contains(.lower) {
      (found, bare) = lowered(text, start, end)
    }
    if found == nil, prefixed > next { found = prefixed }
    if found == nil, bare > start { found = bare }
    guard let found else { return nil }
    guard pattern.contractions == .foldedSuffix, found < end, text[found] == UInt8(ascii: "'")
    else { return found }
    return contractionEnd(text, found, end) ?? found
  }

  /// The end of `X*Y+` at `start`, if it matches, and the end of X* alone.
  private func lowered(
    _ text: UnsafePointer<UInt8>,
    _ start: Int,
    _ end: Int
  ) -> (match: Int?, upper: Int) {
    var index = start
    // Behind the last scalar that is both X and Y: what X* gives back so that Y+ matches it.
    var shared: Int?
    while true {
      let (kinds, length) = flags(text, index, end)
      guard kinds.contains(.upper) else {
        guard kinds.contains(.lower) else { return (shared, index) }
        return (runEnd(.lower, text, index &+ length, end), index)
      }
      index &+= length
      if kinds.contains(.lower) { shared = index }
    }
  }

  /// The end of the contraction at `start`, an apostrophe, if there is one.
  @inline(__always)
  private func contractionEnd(
    _ text: UnsafePointer<UInt8>,
    _ start: Int,
    _ end: Int
  ) -> Int? {
    guard start &+ 1 < end else { return nil }
    let isFolded = pattern.contractions != .exact
    let fold: UInt8 = isFolded ? 0x20 : 0
    let second = start &+ 2 < end ? text[start &+ 2] | fold : 0
    switch text[start &+ 1] | fold {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
      return start &+ 2
    case UInt8(ascii: "r"), UInt8(ascii: "v"):
      return second == UInt8(ascii: "e") ? start &+ 3 : nil
    case UInt8(ascii: "l"):
      return second == UInt8(ascii: "l") ? start &+ 3 : nil
    // U+017F, which folds to s: C5 BF.
    case 0xE5 where isFolded && second == 0xBF:
      return text[start &+ 1] == 0xC5 && text[start &+ 2] == 0xBF ? start &+ 3 : nil
    default: return nil
    }
  }
}
