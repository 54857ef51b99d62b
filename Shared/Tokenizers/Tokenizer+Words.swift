/// What those who join tokens to words need to know.
extension Tokenizer {
  /// The prefix of tokens that continue a word, for example `##`; nil for a model without one.
  package var continuingSubwordPrefix: String? {
    guard case .wordPiece(let model) = pipeline.model, !model.continuationPrefix.isEmpty else {
      return nil
    }
    return String(decoding: model.continuationPrefix, as: UTF8.self)
  }

  /// The id that stands for text the vocabulary cannot express; nil for a model that needs none.
  package var unknownTokenID: UInt32? {
    guard case .wordPiece(let model) = pipeline.model else { return nil }
    return model.unknownID
  }

  /// The text of tokens given as the vocabulary writes them, or as words.
  ///
  /// This is transformers' `convert_tokens_to_string`: the decoder alone, no token is left out.
  package func text(ofTokens tokens: [String]) -> String {
    var repair = UTF8Repair()
    var output: [UInt8] = []
    for (index, token) in tokens.enumerated() {
      repair.append(decoder.bytes(of: token, isFirst: index == 0), into: &output)
    }
    repair.finish(into: &output)
    return String(decoding: output, as: UTF8.self)
  }
}
