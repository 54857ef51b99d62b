import JSON

/// The last step of encoding: puts the model's own special tokens around the text.
enum PostProcessor: Sendable {
  case template(TemplateProcessing)

  /// Builds the component that `section` (a `post_processor` of tokenizer.json) describes.
  init(_ section: JSONSection) throws(TokenizerError) {
    switch try section.word("type") {
    case "TemplateProcessing": self = .template(try TemplateProcessing(section))
    case let type:
      throw TokenizerError(
        .unsupported,
        "\(section.path): post_processor \"\(type)\" is not supported"
      )
    }
  }

  /// How many tokens it adds.
  var addedTokens: Int {
    switch self {
    case .template(let template): template.before.count + template.after.count
    }
  }

  /// Puts the special tokens around one window.
  func process(_ encoding: Encoding) -> Encoding {
    switch self {
    case .template(let template):
      var result = Encoding()
      for token in template.before { result.append(special: token) }
      result.append(contentsOf: encoding)
      for token in template.after { result.append(special: token) }
      return result
    }
  }
}

/// Special tokens before and after a single sequence; pairs of texts are not used yet.
struct TemplateProcessing: Sendable {
  struct SpecialToken: Sendable {
    var id: UInt32
    var token: String
  }

  let before: [SpecialToken]
  let after: [SpecialToken]

  init(_ section: JSONSection) throws(TokenizerError) {
    let specials = try section.section("special_tokens")
    var before: [SpecialToken] = []
    var after: [SpecialToken] = []
    var sequences = 0
    let single = try section.array("single")
    guard single.count <= Self.addedTokensMax + 1 else {
      throw TokenizerError(
        .limitExceeded,
        "\(section.path).single has \(single.count) pieces, the limit is \(Self.addedTokensMax + 1)"
      )
    }
    for (index, piece) in single.enumerated() {
      let piece = try JSONSection(piece, path: "\(section.path).single[\(index)]")
      if let sequence = try piece.section("Sequence") {
        guard try sequence.word("id") == "A" else {
          throw TokenizerError(.invalidFile, "\(sequence.path).id must be \"A\"")
        }
        sequences += 1
      } else if let special = try piece.section("SpecialToken") {
        let tokens = try Self.tokens(named: try special.string("id"), specials, special.path)
        if sequences == 0 { before += tokens } else { after += tokens }
      } else {
        throw TokenizerError(.invalidFile, "\(piece.path) must be a Sequence or a SpecialToken")
      }
      guard before.count + after.count <= Self.addedTokensMax else {
        throw TokenizerError(
          .limitExceeded,
          "\(section.path) adds over \(Self.addedTokensMax) tokens"
        )
      }
    }
    guard sequences == 1 else {
      throw TokenizerError(
        .unsupported,
        "\(section.path).single must have the sequence once, has it \(sequences) times"
      )
    }
    self.before = before
    self.after = after
  }

  /// The most special tokens around a text.
  private static let addedTokensMax = 64

  private static func tokens(
    named name: String,
    _ specials: JSONSection?,
    _ path: String
  ) throws(TokenizerError) -> [SpecialToken] {
    guard let entry = try specials?.section(name) else {
      throw TokenizerError(.invalidFile, "\(path): \"\(name.excerpt())\" is not in special_tokens")
    }
    let ids = try entry.array("ids")
    let tokens = try entry.array("tokens")
    guard ids.count <= Self.addedTokensMax else {
      throw TokenizerError(
        .limitExceeded,
        "\(entry.path.excerpt()) has \(ids.count) ids, the limit is \(Self.addedTokensMax)"
      )
    }
    guard ids.count == tokens.count else {
      throw TokenizerError(
        .invalidFile,
        "\(entry.path) has \(ids.count) ids and \(tokens.count) tokens"
      )
    }
    var result: [SpecialToken] = []
    for case (let id, let token) in zip(ids, tokens) {
      guard case .integer(let id) = id, (0..<TokenizerLimits.vocabularySizeMax).contains(id),
        case .string(let token) = token, token.utf8.count <= TokenizerLimits.tokenBytesMax
      else { throw TokenizerError(.invalidFile, "\(entry.path): not an id and a short token") }
      result.append(SpecialToken(id: UInt32(id), token: token))
    }
    return result
  }
}
