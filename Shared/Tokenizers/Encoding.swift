/// The tokens of a text, or of one window of it: parallel lists, one entry per token.
package struct Encoding: Sendable, Equatable {
  /// Token ids.
  package var ids: [UInt32] = []
  /// The tokens as the vocabulary writes them.
  package var tokens: [String] = []
  /// The Unicode scalars of the text that each token stands for; `0..<0` for an added special.
  package var offsets: [Range<Int>] = []
  /// The piece of the pre-tokenizer that each token belongs to; nil for an added special.
  package var wordIDs: [Int?] = []
  /// Whether the post-processor added the token.
  ///
  /// A special token written in the text is false.
  package var special: [Bool] = []

  /// Creates an encoding of nothing.
  package init() {}

  /// How many tokens it has.
  package var count: Int { ids.count }

  mutating func append(special token: TemplateProcessing.SpecialToken) {
    ids.append(token.id)
    tokens.append(token.token)
    offsets.append(0..<0)
    wordIDs.append(nil)
    special.append(true)
  }

  mutating func append(id: UInt32, token: String, offsets range: Range<Int>, wordID: Int) {
    ids.append(id)
    tokens.append(token)
    offsets.append(range)
    wordIDs.append(wordID)
    special.append(false)
  }

  mutating func append(contentsOf other: Encoding) {
    ids += other.ids
    tokens += other.tokens
    offsets += other.offsets
    wordIDs += other.wordIDs
    special += other.special
  }

  /// The part of it in `range`.
  func window(_ range: Range<Int>) -> Encoding {
    var result = Encoding()
    result.ids = Array(ids[range])
    result.tokens = Array(tokens[range])
    result.offsets = Array(offsets[range])
    result.wordIDs = Array(wordIDs[range])
    result.special = Array(special[range])
    return result
  }
}

/// How a text is encoded.
package struct EncodingOptions: Sendable, Equatable {
  /// Let the post-processor put its special tokens around each window.
  package var addSpecialTokens: Bool
  /// The most tokens in one window, special tokens counted; nil for no limit.
  package var windowTokens: Int?
  /// Tokens that neighbouring windows share, special tokens not counted.
  ///
  /// Read with `overflow`.
  package var strideTokens: Int
  /// Return every window; otherwise a text longer than `windowTokens` is cut after the first.
  package var overflow: Bool

  /// Creates options; the default encodes the whole text in one piece.
  package init(
    addSpecialTokens: Bool = true,
    windowTokens: Int? = nil,
    strideTokens: Int = 0,
    overflow: Bool = false
  ) {
    self.addSpecialTokens = addSpecialTokens
    self.windowTokens = windowTokens
    self.strideTokens = strideTokens
    self.overflow = overflow
  }
}

/// A text in windows.
package struct EncodedText: Sendable, Equatable {
  /// At least one.
  package var windows: [Encoding]
  /// Tokens of the whole text, special tokens counted once, however many windows were returned.
  package var tokenCount: Int
}
