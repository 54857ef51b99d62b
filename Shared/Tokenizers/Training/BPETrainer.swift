import JSON

/// Settings of the training of a byte-level BPE tokenizer.
package struct BPETrainingOptions: Sendable, Equatable {
  /// How many tokens the vocabulary should have; fewer if the corpus does not give as many.
  package var vocabularySize: Int
  /// Pairs that occur less often are not merged.
  package var minFrequency: Int
  /// Tokens that text never merges to; they have the first ids, in this order.
  package var specialTokens: [String]
  /// No token gets this long, in bytes.
  package var tokenLengthMax: Int
  /// The most bytes of different words kept while texts are added.
  package var wordBytesMax: Int

  /// Alphabet characters have up to two bytes in UTF-8: a longer token could not be loaded.
  package static let tokenLengthLimit = TokenizerLimits.tokenBytesMax / 2

  /// Makes settings.
  package init(
    vocabularySize: Int,
    minFrequency: Int = 0,
    specialTokens: [String] = [],
    tokenLengthMax: Int = BPETrainingOptions.tokenLengthLimit,
    wordBytesMax: Int = TokenizerLimits.trainingBytesMax
  ) {
    self.vocabularySize = vocabularySize
    self.minFrequency = minFrequency
    self.specialTokens = specialTokens
    self.tokenLengthMax = tokenLengthMax
    self.wordBytesMax = wordBytesMax
  }

  func validate() throws(TokenizerError) {
    let sizes = 256 + specialTokens.count...TokenizerLimits.vocabularySizeMax
    guard specialTokens.count <= TokenizerLimits.addedTokensMax, sizes ~= vocabularySize else {
      throw TokenizerError(
        .invalidArgument,
        "train: a vocabulary of \(vocabularySize) tokens, must be in \(sizes)"
      )
    }
    guard minFrequency >= 0, 2...Self.tokenLengthLimit ~= tokenLengthMax, wordBytesMax > 0 else {
      throw TokenizerError(
        .invalidArgument,
        """
        train: a minimal frequency of \(minFrequency), tokens of up to \(tokenLengthMax) bytes, \
        \(wordBytesMax) bytes of words
        """
      )
    }
    var seen: Set<[UInt8]> = []
    for token in specialTokens {
      let bytes = Array(token.utf8)
      guard 1...TokenizerLimits.addedTokenBytesMax ~= bytes.count, seen.insert(bytes).inserted
      else {
        throw TokenizerError(
          .invalidArgument,
          "train: the special token \"\(token.excerpt())\" is empty, too long or there twice"
        )
      }
    }
  }
}

/// Learns a byte-level BPE tokenizer from texts.
///
/// Learns what the `BpeTrainer` of Hugging Face tokenizers learns from the same texts behind a
/// `ByteLevel(add_prefix_space=False)` pre-tokenizer and with the byte alphabet as
/// `initial_alphabet`: the same tokens, ids and merges. Counts have 64 bits.
///
/// Memory is bounded by `wordBytesMax`: when the different words of the texts exceed it, the
/// rarest are forgotten, so that a corpus of any size can be added; then the result is
/// approximate. `forgottenWords` tells.
package struct BPETrainer: Sendable {
  private let options: BPETrainingOptions
  private let preTokenizer: ByteLevelPreTokenizer
  private var words = WordCounts()
  private var pieces: [Range<Int>] = []
  /// Occurrences of words that were forgotten for lack of room.
  package private(set) var forgottenWords = 0

  /// Makes a trainer; throws `invalidArgument`, naming the setting.
  package init(_ options: BPETrainingOptions) throws(TokenizerError) {
    try options.validate()
    self.options = options
    preTokenizer = try ByteLevelPreTokenizer()
  }

  /// How many different words have been counted.
  package var wordCount: Int { words.count }

  /// Counts the words of a text; throws `limitExceeded` for one over
  /// `TokenizerLimits.textBytesMax`.
  ///
  /// Words do not reach from one text into the next.
  package mutating func add(_ text: String) throws(TokenizerError) {
    let bytes = Array(text.utf8)
    guard bytes.count <= TokenizerLimits.textBytesMax else {
      throw TokenizerError(
        .limitExceeded,
        "train: a text of \(bytes.count) bytes, the limit is \(TokenizerLimits.textBytesMax)"
      )
    }
    pieces.removeAll(keepingCapacity: true)
    try preTokenizer.split(bytes, bytes.indices, into: &pieces)
    for piece in pieces {
      words.add(bytes, piece)
      if words.byteCount > options.wordBytesMax { forgottenWords += words.forgetRarest() }
    }
  }

  /// Learns the merges; `progress` is told how many tokens there are, after every merge.
  package func train(progress: (_ tokens: Int) -> Void = { _ in }) -> TrainedBPE {
    var merging = BPEMerging(words, options)
    merging.run(progress: progress)
    return TrainedBPE(
      specialTokens: options.specialTokens,
      tokens: merging.tokens,
      merges: merging.mergesInOrder
    )
  }
}
