/// Turns tokens back into text.
enum Decoder: Sendable {
  /// Tokens are bytes in GPT-2's alphabet.
  case byteLevel
  /// Tokens are words and parts of words.
  case wordPiece(WordPieceDecoder)

  /// Builds the component that `section` (a `decoder` of tokenizer.json) describes.
  init(_ section: JSONSection) throws(TokenizerError) {
    switch try section.word("type") {
    case "ByteLevel": self = .byteLevel
    case "WordPiece": self = .wordPiece(try WordPieceDecoder(section))
    case let type:
      throw TokenizerError(.unsupported, "\(section.path): decoder \"\(type)\" is not supported")
    }
  }

  /// The bytes that `token` adds to the text.
  func bytes(of token: String, isFirst: Bool) -> [UInt8] {
    switch self {
    case .byteLevel: ByteAlphabet.bytes(of: token)
    case .wordPiece(let decoder): decoder.bytes(of: token, isFirst: isFirst)
    }
  }
}

/// Joins words with spaces, and parts of words without.
///
/// Follows `decoders/wordpiece.rs` of Hugging Face tokenizers.
struct WordPieceDecoder: Sendable {
  private let prefix: [UInt8]
  private let cleansUp: Bool

  init(_ section: JSONSection) throws(TokenizerError) {
    prefix = Array(try section.string("prefix").utf8)
    cleansUp = try section.bool("cleanup")
  }

  func bytes(of token: String, isFirst: Bool) -> [UInt8] {
    var bytes = Array(token.utf8)
    if !isFirst {
      if bytes.starts(with: prefix) {
        bytes.removeFirst(prefix.count)
      } else {
        bytes.insert(0x20, at: 0)
      }
    }
    guard cleansUp else { return bytes }
    for (artefact, replacement) in Self.artefacts {
      bytes = Self.replacing(artefact, with: replacement, in: bytes)
    }
    return bytes
  }

  /// Traces of tokenization and what they are cleaned up to, in this order.
  private static let artefacts: [([UInt8], [UInt8])] = [
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"),
    (" 'm", "'m"), (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
  ].map { (Array($0.utf8), Array($1.utf8)) }

  private static func replacing(
    _ pattern: [UInt8],
    with replacement: [UInt8],
    in bytes: [UInt8]
  ) -> [UInt8] {
    guard bytes.count >= pattern.count, bytes.contains(pattern[1]) else { return bytes }
    var result: [UInt8] = []
    var index = 0
    while index < bytes.count {
      if bytes[index...].starts(with: pattern) {
        result += replacement
        index += pattern.count
      } else {
        result.append(bytes[index])
        index += 1
      }
    }
    return result
  }
}
