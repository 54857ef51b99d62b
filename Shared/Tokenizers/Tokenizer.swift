/// A model's tokenizer: text to token ids and back, and chat messages to prompts.
///
/// Immutable and safe to use from many tasks at once; copying costs nothing. Its results equal
/// those of Hugging Face `tokenizers` for the same files: ids, tokens, offsets, word ids.
package struct Tokenizer: Sendable {
  let pipeline: Pipeline

  /// The components of tokenizer.json.
  final class Pipeline: Sendable {
    let addedTokens: AddedTokens
    let normalizer: Normalizer?
    let preTokenizer: PreTokenizer
    let model: Model
    let postProcessor: PostProcessor?
    let decoder: Decoder
    let vocabularySize: Int
    let chat: ChatTemplate?

    init(
      addedTokens: AddedTokens,
      normalizer: Normalizer?,
      preTokenizer: PreTokenizer,
      model: Model,
      postProcessor: PostProcessor?,
      decoder: Decoder,
      chat: ChatTemplate?
    ) {
      self.addedTokens = addedTokens
      self.normalizer = normalizer
      self.preTokenizer = preTokenizer
      self.model = model
      self.postProcessor = postProcessor
      self.decoder = decoder
      self.chat = chat
      vocabularySize = addedTokens.tokens.reduce(model.vocabulary.tokens.count) {
        max($0, Int($1.id) + 1)
      }
    }
  }

  var decoder: Decoder { pipeline.decoder }

  /// One more than the largest id.
  package var vocabularySize: Int { pipeline.vocabularySize }

  /// The id of a token, given as the vocabulary writes it; nil if there is none.
  package func id(of token: String) -> UInt32? {
    let content = Array(token.utf8)
    return pipeline.addedTokens.token(withContent: content)?.id
      ?? pipeline.model.vocabulary.id(of: content)
  }

  /// The token of an id as the vocabulary writes it; nil for an id that is not used.
  package func token(of id: UInt32) -> String? {
    pipeline.addedTokens.token(of: id)?.content ?? pipeline.model.vocabulary.token(of: id)
  }

  /// Encodes one text in windows; one window, if the options do not bound it.
  ///
  /// Truncation and padding set in tokenizer.json are not used: the caller knows the model.
  /// - Throws: `invalidArgument` for windows that cannot work, `limitExceeded` for a text or
  ///   windows beyond `TokenizerLimits`.
  package func encode(
    _ text: String,
    options: EncodingOptions = EncodingOptions()
  ) throws(TokenizerError) -> [Encoding] {
    try encodeText(text, options: options).windows
  }

  /// Encodes as `encode` does, and tells how many tokens the whole text has.
  package func encodeText(
    _ text: String,
    options: EncodingOptions = EncodingOptions()
  ) throws(TokenizerError) -> EncodedText {
    let postProcessor = options.addSpecialTokens ? pipeline.postProcessor : nil
    let addedTokens = postProcessor?.addedTokens ?? 0
    let windows = try Windows(options, addedTokens: addedTokens)
    let whole = try encodeWithoutSpecialTokens(text)
    let tokenCount = whole.count + addedTokens
    let encodings = try windows.ranges(tokenCount: whole.count).map { range in
      let window = range.count == whole.count ? whole : whole.window(range)
      return postProcessor?.process(window) ?? window
    }
    return EncodedText(windows: encodings, tokenCount: tokenCount)
  }

  /// The text of tokens.
  ///
  /// An id that is not in the vocabulary stands for no text.
  /// - Throws: `limitExceeded` for more than `TokenizerLimits.decodedTokensMax` ids or
  ///   `TokenizerLimits.decodedBytesMax` bytes of text.
  package func decode(
    _ ids: [UInt32],
    skipSpecialTokens: Bool = true
  ) throws(TokenizerError) -> String {
    guard ids.count <= TokenizerLimits.decodedTokensMax else {
      throw TokenizerError(
        .limitExceeded,
        "decode: \(ids.count) tokens, the limit is \(TokenizerLimits.decodedTokensMax)"
      )
    }
    var stream = decodeStream(skipSpecialTokens: skipSpecialTokens)
    var output: [UInt8] = []
    for id in ids {
      stream.append(id, into: &output)
      guard output.count <= TokenizerLimits.decodedBytesMax else {
        throw TokenizerError(
          .limitExceeded,
          "decode: over \(TokenizerLimits.decodedBytesMax) bytes of text"
        )
      }
    }
    stream.finish(into: &output)
    return String(decoding: output, as: UTF8.self)
  }

  /// Starts to decode tokens one by one.
  package func decodeStream(skipSpecialTokens: Bool = true) -> DecodeStream {
    DecodeStream(self, skipsSpecialTokens: skipSpecialTokens)
  }

  /// The token that a decoder gets to see; nil for one that is left out.
  func decodedToken(_ id: UInt32, skipsSpecial: Bool) -> String? {
    guard let added = pipeline.addedTokens.token(of: id) else {
      return pipeline.model.vocabulary.token(of: id)
    }
    return skipsSpecial && added.isSkipped ? nil : added.decoded
  }
}
