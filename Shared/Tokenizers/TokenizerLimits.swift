/// The bounds of everything in this module whose size comes from outside.
package enum TokenizerLimits {
  /// The largest `tokenizer.json`; the largest in wide use are about 35 MB.
  package static let fileBytesMax = 128 << 20
  /// The longest name of a component or version.
  package static let wordBytesMax = 64
  /// The longest message of an error, in Unicode scalars.
  package static let messageScalarsMax = 1_000
  /// Ids are below this; it bounds the tables that ids index.
  package static let vocabularySizeMax = 1 << 21
  /// The longest token; the longest in wide use are some hundreds of spaces.
  package static let tokenBytesMax = 4_096
  /// The longest added token.
  ///
  /// Text is scanned once per byte for at most this many bytes.
  package static let addedTokenBytesMax = 128
  /// The most bytes of all added tokens together.
  package static let addedTokensBytesMax = 4 << 20
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
  /// The longest text that is decoded at once.
  package static let decodedBytesMax = 64 << 20
  /// What the different words of a corpus may take while a tokenizer is trained; merging them takes
  /// about ten times as much.
  package static let trainingBytesMax = 256 << 20
}
