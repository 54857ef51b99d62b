import JSON

/// WordPiece: takes the longest token that the rest of the word begins with, again and again; a
/// word that cannot be finished is the unknown token.
///
/// Follows `models/wordpiece` of Hugging Face tokenizers.
struct WordPiece: Sendable {
  let vocabulary: Vocabulary
  let unknownID: UInt32
  /// Marks a token that does not begin a word, for example `##`.
  let continuationPrefix: [UInt8]
  private let continuationHash: Vocabulary.Hash
  private let wordScalarsMax: Int

  init(_ section: JSONSection) throws(TokenizerError) {
    guard let vocab = try section.section("vocab") else {
      throw TokenizerError(.invalidFile, "\(section.path).vocab is missing")
    }
    vocabulary = try Vocabulary(vocab.object, path: vocab.path)
    let unknown = try section.string("unk_token")
    guard let unknownID = vocabulary.id(of: Array(unknown.utf8)) else {
      throw TokenizerError(
        .invalidFile,
        "\(section.path).unk_token: \"\(unknown.excerpt())\" is not in the vocabulary"
      )
    }
    self.unknownID = unknownID
    continuationPrefix = Array(try section.string("continuing_subword_prefix").utf8)
    var hash = vocabulary.emptyHash
    for byte in continuationPrefix { hash.add(byte) }
    continuationHash = hash
    wordScalarsMax = try section.integer("max_input_chars_per_word")
    guard (0...Self.wordScalarsLimit).contains(wordScalarsMax) else {
      throw TokenizerError(
        .limitExceeded,
        "\(section.path).max_input_chars_per_word is \(wordScalarsMax), the limit is "
          + "\(Self.wordScalarsLimit)"
      )
    }
  }

  /// The work on a word grows with the square of its length; files in wide use have 100.
  private static let wordScalarsLimit = 200

  /// Appends the tokens of the word `bytes[range]`; `hashes` is a buffer to be reused.
  func tokenize(
    _ bytes: [UInt8],
    _ range: Range<Int>,
    _ hashes: inout [Vocabulary.Hash],
    into tokens: inout [ModelToken]
  ) {
    let first = tokens.count
    guard scalarCount(bytes, range) <= wordScalarsMax else {
      tokens.append(ModelToken(id: unknownID, end: range.upperBound))
      return
    }
    var start = range.lowerBound
    while start < range.upperBound {
      let isContinuation = start > range.lowerBound
      let prefix = isContinuation ? continuationPrefix : []
      // The hashes of all candidates in one pass; then the longest is tried first.
      var hash = isContinuation ? continuationHash : vocabulary.emptyHash
      let limit = min(range.upperBound, start + max(0, vocabulary.tokenBytesMax - prefix.count))
      hashes.removeAll(keepingCapacity: true)
      for index in start..<limit {
        hash.add(bytes[index])
        hashes.append(hash)
      }
      var end = limit
      var found: UInt32?
      while end > start {
        let isBoundary = end == range.upperBound || bytes[end] & 0xC0 != 0x80
        if isBoundary,
          let id = vocabulary.id(
            hash: hashes[end - start - 1],
            prefix: prefix,
            bytes,
            start..<end
          )
        {
          found = id
          break
        }
        end -= 1
      }
      guard let found else {
        tokens.removeLast(tokens.count - first)
        tokens.append(ModelToken(id: unknownID, end: range.upperBound))
        return
      }
      tokens.append(ModelToken(id: found, end: end))
      start = end
    }
  }

  private func scalarCount(_ bytes: [UInt8], _ range: Range<Int>) -> Int {
    guard range.count > wordScalarsMax else { return 0 }
    var count = 0
    for index in range where bytes[index] & 0xC0 != 0x80 { count += 1 }
    return count
  }
}
