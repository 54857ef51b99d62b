import JSON

/// The third step of the pipeline: turns one piece of text into tokens.
enum Model: Sendable {
  case bpe(BPE)
  case wordPiece(WordPiece)

  /// Builds the component that `section` (the `model` of tokenizer.json) describes.
  init(_ section: JSONSection) throws(TokenizerError) {
    // Files of old versions lack the type.
    switch try section.optionalWord("type") ?? (section.object["merges"] == nil ? "" : "BPE") {
    case "BPE": self = .bpe(try BPE(section))
    case "WordPiece": self = .wordPiece(try WordPiece(section))
    case let type:
      throw TokenizerError(.unsupported, "\(section.path): model \"\(type)\" is not supported")
    }
  }

  var vocabulary: Vocabulary {
    switch self {
    case .bpe(let model): model.vocabulary
    case .wordPiece(let model): model.vocabulary
    }
  }

  /// Buffers that are reused from piece to piece.
  struct Workspace {
    fileprivate var bpe = BPE.Workspace()
    fileprivate var prefixes: [Vocabulary.Hash] = []
  }

  /// Appends the tokens of the piece `bytes[range]`.
  @inline(__always)
  func tokenize(
    _ bytes: [UInt8],
    _ range: Range<Int>,
    _ workspace: inout Workspace,
    into tokens: inout [ModelToken]
  ) {
    switch self {
    case .bpe(let model): model.tokenize(bytes, range, &workspace.bpe, into: &tokens)
    case .wordPiece(let model):
      model.tokenize(bytes, range, &workspace.prefixes, into: &tokens)
    }
  }
}

/// A token and where it ends; it begins where the one before it ends, the first with the piece.
struct ModelToken {
  var id: UInt32
  /// A position in the bytes that were given to the model.
  var end: Int
}
