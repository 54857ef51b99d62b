/// The encode path: added tokens, normalizer, pre-tokenizer, model.
extension Tokenizer {
  func encodeWithoutSpecialTokens(_ text: String) throws(TokenizerError) -> Encoding {
    let bytes = Array(text.utf8)
    guard bytes.count <= TokenizerLimits.textBytesMax else {
      throw TokenizerError(
        .limitExceeded,
        "encode: a text of \(bytes.count) bytes, the limit is \(TokenizerLimits.textBytesMax)"
      )
    }
    var run = EncodingRun(pipeline)
    var scalars = ScalarCursor(bytes)
    for part in pipeline.addedTokens.split(bytes, 0..<bytes.count, normalized: false) {
      let firstScalar = scalars.scalars(before: part.range.lowerBound)
      if let id = part.token {
        let end = scalars.scalars(before: part.range.upperBound)
        run.append(added: id, bytes[part.range], firstScalar..<end)
      } else if let normalizer = pipeline.normalizer {
        let normalized = normalizer.normalize(bytes, part.range, firstScalar: firstScalar)
        var offsets = OffsetMap(normalized.utf8, origins: normalized.origins)
        try run.encode(normalized.utf8, 0..<normalized.utf8.count, &offsets)
      } else {
        var offsets = OffsetMap(bytes, cursor: scalars)
        try run.encode(bytes, part.range, &offsets)
        scalars = offsets.cursor
      }
    }
    return run.encoding
  }
}

/// Collects the tokens of one text.
///
/// Pieces are numbered as they come, which gives word ids.
private struct EncodingRun {
  let pipeline: Tokenizer.Pipeline
  var encoding = Encoding()
  private var wordCount = 0
  private var pieces: [Range<Int>] = []
  private var tokens: [ModelToken] = []
  private var workspace = Model.Workspace()

  init(_ pipeline: Tokenizer.Pipeline) { self.pipeline = pipeline }

  mutating func append(added id: UInt32, _ content: ArraySlice<UInt8>, _ offsets: Range<Int>) {
    let token = String(decoding: content, as: UTF8.self)
    encoding.append(id: id, token: token, offsets: offsets, wordID: wordCount)
    wordCount += 1
  }

  /// Encodes `bytes[range]`, normalized text without raw added tokens.
  mutating func encode(
    _ bytes: [UInt8],
    _ range: Range<Int>,
    _ offsets: inout OffsetMap
  ) throws(TokenizerError) {
    let vocabulary = pipeline.model.vocabulary
    for part in pipeline.addedTokens.split(bytes, range, normalized: true) {
      if let id = part.token {
        append(added: id, bytes[part.range], offsets.original(part.range))
        continue
      }
      pieces.removeAll(keepingCapacity: true)
      try pipeline.preTokenizer.split(bytes, part.range, into: &pieces)
      for piece in pieces {
        tokens.removeAll(keepingCapacity: true)
        pipeline.model.tokenize(bytes, piece, &workspace, into: &tokens)
        var start = piece.lowerBound
        for token in tokens {
          encoding.append(
            id: token.id,
            token: vocabulary.tokens[Int(token.id)],
            offsets: offsets.original(start..<token.end),
            wordID: wordCount
          )
          start = token.end
        }
        wordCount += 1
      }
    }
  }
}

/// Bytes of normalized text to scalars of the original; cheap while ranges go forward.
private struct OffsetMap {
  private let bytes: [UInt8]
  private let origins: [NormalizedText.Origin]?
  private(set) var cursor: ScalarCursor

  /// For text that was normalized.
  init(_ bytes: [UInt8], origins: [NormalizedText.Origin]) {
    self.bytes = bytes
    self.origins = origins
    cursor = ScalarCursor(bytes)
  }

  /// For text as it is.
  init(_ bytes: [UInt8], cursor: ScalarCursor) {
    self.bytes = bytes
    self.origins = nil
    self.cursor = cursor
  }

  /// The scalars that `range` (not empty) stands for; one that it cuts counts whole.
  mutating func original(_ range: Range<Int>) -> Range<Int> {
    let first = cursor.scalars(before: range.lowerBound + 1) - 1
    let end = cursor.scalars(before: range.upperBound)
    guard let origins else { return first..<end }
    let start = Int(origins[first].start)
    // Reordered accents can turn the range around, which Python's pairs of numbers can say.
    return start..<max(start, Int(origins[end - 1].end))
  }
}
