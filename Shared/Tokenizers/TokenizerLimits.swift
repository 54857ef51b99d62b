/// The bounds of everything in this module whose size comes from outside.
package enum TokenizerLimits {
  /// The largest `tokenizer.json`; the largest in wide use are about 35 MB.
  package static let fileBytesMax = 128 << 20
  /// The deepest nesting of arrays and objects in a JSON file.
  package static let jsonDepthMax = 64
  /// Ids are below this; it bounds the tables that ids index.
  package static let vocabularySizeMax = 1 << 21
  /// The longest added token.
  ///
  /// Text is scanned once per byte for at most this many bytes.
  package static let addedTokenBytesMax = 512
  /// The most added tokens.
  package static let addedTokensMax = 1 << 16
  /// The longest text that is encoded at once.
  package static let textBytesMax = 64 << 20
  /// The most windows one text is cut into.
  package static let windowsMax = 4_096
  /// The most tokens in all windows of one text together, where there are several.
  package static let windowedTokensMax = 1 << 21
  /// The most tokens decoded at once.
  package static let decodedTokensMax = 1 << 22
}
