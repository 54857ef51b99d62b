/// What distinguishes the patterns that split text into words, numbers, the rest and white space:
/// those of GPT-2, cl100k, o200k and all that were made from them.
///
/// At each position the alternatives are tried in this order: a contraction, a word, numbers, other
/// characters, white space. What a field does not say is the same in all of them.
struct WordPattern: Sendable, Hashable {
  /// Whether and how `'s`, `'t`, `'re`, `'ve`, `'m`, `'ll` and `'d` are split off.
  enum Contractions: Sendable, Hashable {
    case none
    /// Lower case only, as a piece of its own.
    case exact
    /// In any case, with ſ for s (`(?i:'s|…)`), as a piece of its own.
    case folded
    /// In any case, with ſ for s, as the end of a word.
    case foldedSuffix
  }

  /// What may be the first character of a word's piece without being of the word.
  enum Prefix: Sendable, Hashable {
    /// ` ?`
    case space
    /// `[^\r\n…]?` with these categories.
    case except(ScalarCategories)
  }

  /// Characters of the pieces that are neither words nor numbers.
  enum Others: Sendable, Hashable {
    case except(ScalarCategories)
    case only(ScalarCategories)
  }

  /// What follows them in the same piece.
  enum Following: Sendable, Hashable {
    case nothing
    /// `[\r\n]*`
    case newlines
    /// `[\r\n/]*`
    case newlinesAndSlashes
    /// `[\r\n/]?`
    case newlineOrSlash
  }

  /// White space with line ends, before `\s+(?!\S)`.
  enum Newlines: Sendable, Hashable {
    /// No alternative of their own.
    case plain
    /// `[\r\n]`
    case single
    /// `\s*[\r\n]+`, or `\s*[\r\n]`, which matches the same.
    case runs
    /// `\s++$`, else `\s*[\r\n]`.
    case runsUnlessLast
  }

  var contractions = Contractions.none
  var prefix = Prefix.space
  /// Categories of a word.
  var letters = ScalarCategories.letters
  /// Categories that are of no word even so; only `han`.
  var lettersExcept: ScalarCategories = []
  /// Whether words are `X*Y+|X+Y*` with X upper and uncased letters and marks, Y lower in upper's
  /// place, rather than a run of `letters`.
  var isCased = false
  /// Whether single spaces between letters are of the word: `(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+`.
  var joinsWords = false
  /// Whether runs of Han come first, as pieces of their own.
  var hanRuns = false
  /// Whether ASCII punctuation before ASCII letters makes a piece with these first.
  var punctuatedWords = false
  /// The longest piece of numbers; 0 for no alternative of numbers.
  var numbersMax = Int.max
  /// Whether ` ?` stands before numbers.
  var spaceBeforeNumbers = false
  var others = Others.except([.letters, .numbers, .whitespace])
  var following = Following.nothing
  var newlines = Newlines.plain
}

extension WordPattern {
  /// What the scanner needs to know of a scalar.
  struct Flags: OptionSet, Sendable {
    let rawValue: UInt16
    /// Of a word.
    static let letter = Flags(rawValue: 1)
    static let number = Flags(rawValue: 2)
    static let space = Flags(rawValue: 4)
    static let other = Flags(rawValue: 8)
    /// May stand before a word.
    static let prefix = Flags(rawValue: 16)
    /// Of the first part of a cased word.
    static let upper = Flags(rawValue: 32)
    /// Of the second part of a cased word.
    static let lower = Flags(rawValue: 64)
    /// Of a run of Han that comes first.
    static let han = Flags(rawValue: 128)
    static let newline = Flags(rawValue: 256)
    /// ASCII punctuation that may stand before ASCII letters.
    static let punctuation = Flags(rawValue: 512)
    /// A mark within a joined word.
    static let mark = Flags(rawValue: 1_024)
  }

  /// The flags of a scalar of `categories`; `ascii` is the scalar itself if it is ASCII.
  func flags(_ categories: ScalarCategories, ascii: UInt8?) -> Flags {
    func has(_ members: ScalarCategories) -> Bool { !categories.isDisjoint(with: members) }
    let isNewline = ascii == UInt8(ascii: "\r") || ascii == UInt8(ascii: "\n")
    let mayBeLetter = !has(lettersExcept)
    var flags: Flags = []
    if has(letters), mayBeLetter { flags.insert(.letter) }
    if has(.numbers) { flags.insert(.number) }
    if has(.whitespace) { flags.insert(.space) }
    switch others {
    case .except(let members): if !has(members) { flags.insert(.other) }
    case .only(let members): if has(members) { flags.insert(.other) }
    }
    switch prefix {
    case .space: if ascii == 0x20 { flags.insert(.prefix) }
    case .except(let members): if !has(members), !isNewline { flags.insert(.prefix) }
    }
    if isCased, mayBeLetter {
      if has([.upper, .uncased, .mark]) { flags.insert(.upper) }
      if has([.lower, .uncased, .mark]) { flags.insert(.lower) }
    }
    if hanRuns, has(.han) { flags.insert(.han) }
    if isNewline { flags.insert(.newline) }
    if punctuatedWords, ascii != nil, has([.punctuation, .symbol]) { flags.insert(.punctuation) }
    if joinsWords, has(.mark) { flags.insert(.mark) }
    return flags
  }
}

extension WordPattern {
  /// What two ASCII characters say about the match that begins with the first.
  enum Pair: UInt8, Sendable {
    /// It is a word that begins here.
    case word
    /// It is a word that begins with the second character.
    case prefixedWord
    /// Not enough.
    case unknown
    /// It is the first character alone.
    case single
  }

  /// What the characters `first` and `second` say, whose flags are `kinds` and `following`.
  func pair(_ first: UInt8, _ kinds: Flags, _ second: UInt8, _ following: Flags) -> Pair {
    let isApostrophe = first == UInt8(ascii: "'")
    if isApostrophe, contractions == .exact || contractions == .folded,
      following.contains(.letter)
    {
      return .unknown
    }
    if kinds.contains(.letter) { return joinsWords ? .unknown : .word }
    if kinds.contains(.punctuation), following.contains(.letter) { return .unknown }
    if kinds.contains(.prefix), following.contains(.letter) {
      return joinsWords ? .unknown : .prefixedWord
    }
    if kinds.contains(.number), numbersMax > 0 {
      return numbersMax == 1 || !following.contains(.number) ? .single : .unknown
    }
    if kinds.contains(.other) {
      let goesOn =
        following.contains(.other)
        || self.following != .nothing
          && (following.contains(.newline) || second == UInt8(ascii: "/"))
      return goesOn ? .unknown : .single
    }
    guard kinds.contains(.space), !following.contains(.space) else { return .unknown }
    let mayLead = first == 0x20 && !following.isDisjoint(with: [.other, .number])
    return mayLead ? .unknown : .single
  }
}
