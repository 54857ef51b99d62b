/// Decodes tokens as they come.
///
/// What `append` returned and `finish` in the end, put together, is what `Tokenizer.decode` makes
/// of all of them.
///
/// Not safe to use from two tasks at once; a value belongs to one sequence.
package struct DecodeStream: Sendable {
  private let tokenizer: Tokenizer
  private let skipsSpecialTokens: Bool
  private var repair = UTF8Repair()
  private var isFirst = true

  init(_ tokenizer: Tokenizer, skipsSpecialTokens: Bool) {
    self.tokenizer = tokenizer
    self.skipsSpecialTokens = skipsSpecialTokens
  }

  /// Takes one token and returns the text that it completes: whole characters, "" while one is
  /// incomplete.
  ///
  /// An id that is not in the vocabulary stands for no text.
  package mutating func append(_ id: UInt32) throws(TokenizerError) -> String {
    var output: [UInt8] = []
    append(id, into: &output)
    return String(decoding: output, as: UTF8.self)
  }

  /// Ends the stream: U+FFFD, if a character was left incomplete.
  package mutating func finish() -> String {
    var output: [UInt8] = []
    finish(into: &output)
    return String(decoding: output, as: UTF8.self)
  }

  mutating func append(_ id: UInt32, into output: inout [UInt8]) {
    guard let token = tokenizer.decodedToken(id, skipsSpecial: skipsSpecialTokens) else { return }
    let bytes = tokenizer.decoder.bytes(of: token, isFirst: isFirst)
    isFirst = false
    repair.append(bytes, into: &output)
  }

  mutating func finish(into output: inout [UInt8]) { repair.finish(into: &output) }
}
