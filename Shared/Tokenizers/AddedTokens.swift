import JSON

/// Tokens that are found in the text itself, before anything else looks at it.
///
/// Follows `tokenizer/added_vocabulary.rs` of Hugging Face tokenizers: at each place the longest
/// token wins, matches do not overlap.
struct AddedTokens: Sendable {
  /// One entry of `added_tokens`.
  struct Token: Sendable {
    var id: UInt32
    var content: String
    /// Matches only where no word character stands beside it.
    var isSingleWord: Bool
    /// Takes the white space before it, or after it, with it.
    var stripsLeft: Bool
    var stripsRight: Bool
    /// Is looked for in the normalized text.
    var isNormalized: Bool
    /// Marks structure, not text.
    var isSpecial: Bool
    /// What decoding makes of it: the normalized content, if that is looked for.
    var decoded: String
    /// Whether decoding can leave it out.
    var isSkipped: Bool
  }

  let tokens: [Token]
  private let indexByID: [UInt32: Int]
  private let indexByContent: [[UInt8]: Int]
  private let rawTrie: ByteTrie
  private let normalizedTrie: ByteTrie
  private let classes = ScalarClasses.shared

  /// Reads `added_tokens` of tokenizer.json.
  init(
    _ entries: [JSONValue],
    _ vocabulary: Vocabulary,
    _ normalizer: Normalizer?,
    path: String
  ) throws(TokenizerError) {
    guard entries.count <= TokenizerLimits.addedTokensMax else {
      throw TokenizerError(
        .limitExceeded,
        "\(path) has \(entries.count) entries, the limit is \(TokenizerLimits.addedTokensMax)"
      )
    }
    var tokens: [Token] = []
    var indexByID: [UInt32: Int] = [:]
    var indexByContent: [[UInt8]: Int] = [:]
    var rawTrie = ByteTrie()
    var normalizedTrie = ByteTrie()
    var patternBytes = 0
    for (index, entry) in entries.enumerated() {
      var token = try Self.token(try JSONSection(entry, path: "\(path)[\(index)]"), vocabulary)
      let content = Array(token.content.utf8)
      guard indexByID.updateValue(index, forKey: token.id) == nil else {
        throw TokenizerError(.invalidFile, "\(path)[\(index)]: the id \(token.id) is there twice")
      }
      guard indexByContent.updateValue(index, forKey: content) == nil else {
        throw TokenizerError(
          .invalidFile,
          "\(path)[\(index)]: the token \"\(token.content.excerpt())\" is there twice"
        )
      }
      if token.isNormalized {
        let pattern =
          normalizer?.normalize(content, 0..<content.count, firstScalar: 0).utf8 ?? content
        token.decoded = String(decoding: pattern, as: UTF8.self)
        patternBytes += pattern.count
        // Of tokens that are the same when normalized the last wins, as in Hugging Face.
        normalizedTrie.insert(pattern, value: index)
      } else {
        patternBytes += content.count
        rawTrie.insert(content, value: index)
      }
      guard patternBytes <= TokenizerLimits.addedTokensBytesMax else {
        throw TokenizerError(
          .limitExceeded,
          "\(path) has tokens of over \(TokenizerLimits.addedTokensBytesMax) bytes in all"
        )
      }
      tokens.append(token)
    }
    // Hugging Face tells special tokens by what is decoded; the normalized form may not be one.
    let specials = Set(tokens.filter(\.isSpecial).map { Array($0.content.utf8) })
    for index in tokens.indices {
      tokens[index].isSkipped = specials.contains(Array(tokens[index].decoded.utf8))
    }
    self.tokens = tokens
    self.indexByID = indexByID
    self.indexByContent = indexByContent
    self.rawTrie = rawTrie
    self.normalizedTrie = normalizedTrie
  }

  private static func token(
    _ section: JSONSection,
    _ vocabulary: Vocabulary
  ) throws(TokenizerError) -> Token {
    let content = try section.string("content")
    let id = try section.integer("id")
    guard (1...TokenizerLimits.addedTokenBytesMax).contains(content.utf8.count) else {
      throw TokenizerError(
        .limitExceeded,
        "\(section.path).content has \(content.utf8.count) bytes; 1 to "
          + "\(TokenizerLimits.addedTokenBytesMax) are allowed"
      )
    }
    guard (0..<TokenizerLimits.vocabularySizeMax).contains(id) else {
      throw TokenizerError(.invalidFile, "\(section.path).id is out of range: \(id)")
    }
    // Hugging Face would go by the vocabulary without a word; then one of the two is damaged.
    if let known = vocabulary.id(of: Array(content.utf8)), known != id {
      throw TokenizerError(
        .invalidFile,
        "\(section.path): \"\(content.excerpt())\" has id \(id) here and \(known) in the vocabulary"
      )
    }
    if let other = vocabulary.token(of: UInt32(id)), !other.utf8.elementsEqual(content.utf8) {
      throw TokenizerError(
        .invalidFile,
        "\(section.path): the id \(id) of \"\(content.excerpt())\" is taken by \"\(other.excerpt())\""
      )
    }
    let isSpecial = try section.bool("special")
    return Token(
      id: UInt32(id),
      content: content,
      isSingleWord: try section.bool("single_word", default: false),
      stripsLeft: try section.bool("lstrip", default: false),
      stripsRight: try section.bool("rstrip", default: false),
      isNormalized: try section.bool("normalized", default: !isSpecial),
      isSpecial: isSpecial,
      decoded: content,
      isSkipped: isSpecial
    )
  }

  /// The added token with this id.
  func token(of id: UInt32) -> Token? { indexByID[id].map { tokens[$0] } }

  /// The added token with this content.
  func token(withContent content: [UInt8]) -> Token? {
    indexByContent[content].map { tokens[$0] }
  }

  /// A part of the text: an added token, or what lies between.
  struct Part {
    var range: Range<Int>
    var token: UInt32?
  }

  /// Cuts `bytes[range]` (UTF-8) at the added tokens.
  ///
  /// No part is empty.
  func split(_ bytes: [UInt8], _ range: Range<Int>, normalized: Bool) -> [Part] {
    let trie = normalized ? normalizedTrie : rawTrie
    if trie.isEmpty { return range.isEmpty ? [] : [Part(range: range)] }
    var parts: [Part] = []
    var start = range.lowerBound
    var index = start
    while index < range.upperBound {
      guard let match = trie.longestMatch(bytes, from: index, end: range.upperBound) else {
        index += 1
        continue
      }
      let token = tokens[match.value]
      let found = index..<match.end
      index = match.end
      if token.isSingleWord, isInsideWord(bytes, found, range) { continue }
      var lower = found.lowerBound
      var upper = found.upperBound
      if token.stripsLeft {
        // What the token before has taken is taken.
        lower = max(whitespaceStart(bytes, before: lower, range.lowerBound), start)
      }
      if token.stripsRight { upper = whitespaceEnd(bytes, after: upper, range.upperBound) }
      if start < lower { parts.append(Part(range: start..<lower)) }
      if lower < upper { parts.append(Part(range: lower..<upper, token: token.id)) }
      start = upper
    }
    if start < range.upperBound { parts.append(Part(range: start..<range.upperBound)) }
    return parts
  }

  private func isInsideWord(_ bytes: [UInt8], _ found: Range<Int>, _ range: Range<Int>) -> Bool {
    if found.lowerBound > range.lowerBound {
      let before = scalarStart(bytes, before: found.lowerBound)
      if Self.isWordScalar(bytes.scalar(at: before).value) { return true }
    }
    return found.upperBound < range.upperBound
      && Self.isWordScalar(bytes.scalar(at: found.upperBound).value)
  }

  /// `\w` of Rust's regular expressions (UTS #18, annex C).
  private static func isWordScalar(_ value: UInt32) -> Bool {
    guard let scalar = Unicode.Scalar(value) else { return false }
    switch scalar.properties.generalCategory {
    case .decimalNumber, .connectorPunctuation, .nonspacingMark, .spacingMark, .enclosingMark:
      return true
    default: return scalar.properties.isAlphabetic || scalar.properties.isJoinControl
    }
  }

  private func scalarStart(_ bytes: [UInt8], before index: Int) -> Int {
    var index = index - 1
    while bytes[index] & 0xC0 == 0x80 { index -= 1 }
    return index
  }

  private func whitespaceStart(_ bytes: [UInt8], before index: Int, _ limit: Int) -> Int {
    var index = index
    while index > limit {
      let before = scalarStart(bytes, before: index)
      guard classes[bytes.scalar(at: before).value].contains(.whitespace) else { break }
      index = before
    }
    return index
  }

  private func whitespaceEnd(_ bytes: [UInt8], after index: Int, _ limit: Int) -> Int {
    var index = index
    while index < limit {
      let (scalar, length) = bytes.scalar(at: index)
      guard classes[scalar].contains(.whitespace) else { break }
      index += length
    }
    return index
  }
}

/// Finds the longest of many byte strings at a place.
struct ByteTrie: Sendable {
  /// The node each first byte leads to, 0 for none; most bytes of a text lead nowhere.
  private var roots = [Int32](repeating: 0, count: 256)
  private var children: [UInt64: Int32] = [:]
  private var values: [Int32] = [ByteTrie.none]
  /// The value of a node where no string ends.
  private static let none: Int32 = -1

  mutating func insert(_ bytes: [UInt8], value: Int) {
    guard let first = bytes.first else { return }
    if roots[Int(first)] == 0 { roots[Int(first)] = makeNode() }
    var node = roots[Int(first)]
    for byte in bytes.dropFirst() {
      let key = UInt64(node) << 8 | UInt64(byte)
      if let child = children[key] {
        node = child
      } else {
        let child = makeNode()
        children[key] = child
        node = child
      }
    }
    values[Int(node)] = Int32(value)
  }

  private mutating func makeNode() -> Int32 {
    values.append(Self.none)
    return Int32(values.count - 1)
  }

  var isEmpty: Bool { values.count == 1 }

  @inline(__always)
  func longestMatch(_ bytes: [UInt8], from start: Int, end: Int) -> (value: Int, end: Int)? {
    var node = roots[Int(bytes[start])]
    guard node != 0 else { return nil }
    var longest: (value: Int, end: Int)?
    var index = start + 1
    while true {
      if values[Int(node)] != Self.none { longest = (Int(values[Int(node)]), index) }
      guard index < end, let child = children[UInt64(node) << 8 | UInt64(bytes[index])] else {
        return longest
      }
      node = child
      index += 1
    }
  }
}
