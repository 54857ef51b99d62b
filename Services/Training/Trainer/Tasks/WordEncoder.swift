internal import Tokenizers

/// Encodes texts that come as words, as Hugging Face's `is_split_into_words` does: each word by
/// itself, the special tokens around all of them.
struct WordEncoder {
  private let tokenizer: Tokenizer
  private let prefix: [UInt32]
  private let suffix: [UInt32]
  /// Words recur: the cache makes reading data several times faster.
  private var cache: [[UInt8]: [UInt32]] = [:]

  /// Words kept in the cache.
  private static let cachedWordsMax = 1 << 17

  /// A row's tokens.
  struct Row {
    var ids: [UInt32] = []
    /// The word of each token that is the first of its word; `ExampleSet.ignored` for others.
    var firstWords: [UInt32] = []
    var isTruncated = false
    /// Words without a token, or cut off.
    var missingWords = 0
  }

  init(_ tokenizer: Tokenizer) throws(TrainerError) {
    self.tokenizer = tokenizer
    do throws(TokenizerError) {
      guard let example = try tokenizer.encode("a").first else {
        throw TokenizerError(.invalidArgument, "the tokenizer encodes a text to nothing")
      }
      prefix = zip(example.ids, example.special).prefix { $0.1 }.map(\.0)
      suffix = zip(example.ids, example.special).dropFirst(prefix.count).filter(\.1).map(\.0)
    } catch {
      throw TrainerError(.invalidModel, "tokenizer: \(error)", cause: error)
    }
  }

  /// Special tokens around each row.
  var specialTokenCount: Int { prefix.count + suffix.count }

  /// The tokens of `words`, cut to `tokensMax` with special tokens.
  mutating func encode(_ words: [String], tokensMax: Int) throws(TokenizerError) -> Row {
    let capacity = max(0, tokensMax - specialTokenCount)
    var row = Row(ids: prefix, firstWords: prefix.map { _ in ExampleSet.ignored })
    var tokenCount = 0
    for (index, word) in words.enumerated() {
      let ids = try encode(word)
      let room = capacity - tokenCount
      if ids.isEmpty || room <= 0 { row.missingWords += 1 }
      if ids.count > room { row.isTruncated = true }
      for (place, id) in ids.prefix(max(0, room)).enumerated() {
        row.ids.append(id)
        row.firstWords.append(place == 0 ? UInt32(index) : ExampleSet.ignored)
      }
      tokenCount += min(ids.count, max(0, room))
    }
    row.ids += suffix
    row.firstWords += suffix.map { _ in ExampleSet.ignored }
    return row
  }

  private mutating func encode(_ word: String) throws(TokenizerError) -> [UInt32] {
    let key = Array(word.utf8)
    if let ids = cache[key] { return ids }
    let options = EncodingOptions(addSpecialTokens: false)
    let ids = try tokenizer.encode(word, options: options).first?.ids ?? []
    if cache.count < Self.cachedWordsMax { cache[key] = ids }
    return ids
  }
}
