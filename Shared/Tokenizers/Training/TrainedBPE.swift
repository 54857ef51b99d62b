import JSON

/// What training has learnt, and how it is written in the formats of Hugging Face.
package struct TrainedBPE: Sendable {
  /// The special tokens; the first tokens of the vocabulary.
  package let specialTokens: [String]
  /// The tokens by id, as the vocabulary writes them.
  package let tokens: [String]
  /// The pairs that merge, in order, as ids.
  package let merges: [(left: UInt32, right: UInt32)]

  init(specialTokens: [String], tokens: [[UInt8]], merges: [(left: UInt32, right: UInt32)]) {
    self.specialTokens = specialTokens
    self.tokens = tokens.map { String(decoding: $0, as: UTF8.self) }
    self.merges = merges
  }

  /// The `tokenizer.json`, as Hugging Face tokenizers saves it (pretty).
  package var tokenizerJSON: String {
    var writer = JSONLines()
    writer.open("{")
    writer.line("\"version\": \"1.0\",")
    writer.line("\"truncation\": null,")
    writer.line("\"padding\": null,")
    writer.list("\"added_tokens\": [", specialTokens.indices) { writer, index in
      writer.open("{")
      writer.line("\"id\": \(index),")
      writer.line("\"content\": \(specialTokens[index].quotedForJSON),")
      for flag in ["single_word", "lstrip", "rstrip", "normalized"] {
        writer.line("\"\(flag)\": false,")
      }
      writer.line("\"special\": true")
      writer.close("}")
    }
    writer.line("\"normalizer\": null,")
    writer.byteLevel("pre_tokenizer", addPrefixSpace: false)
    writer.line("\"post_processor\": null,")
    writer.byteLevel("decoder", addPrefixSpace: true)
    writer.open("\"model\": {")
    writer.line("\"type\": \"BPE\",")
    for setting in ["dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"] {
      writer.line("\"\(setting)\": null,")
    }
    for setting in ["fuse_unk", "byte_fallback", "ignore_merges"] {
      writer.line("\"\(setting)\": false,")
    }
    writer.open("\"vocab\": {")
    for (id, token) in tokens.enumerated() {
      writer.line("\(token.quotedForJSON): \(id)\(id + 1 < tokens.count ? "," : "")")
    }
    writer.close("},")
    writer.list("\"merges\": [", merges.indices, end: "]") { writer, rank in
      writer.open("[")
      writer.line("\(tokens[Int(merges[rank].left)].quotedForJSON),")
      writer.line(tokens[Int(merges[rank].right)].quotedForJSON)
      writer.close("]")
    }
    writer.close("}")
    writer.close("}")
    return writer.text
  }

  /// A tokenizer that works as one loaded from the files would.
  package func tokenizer(_ settings: TokenizerSettings) throws(TokenizerError) -> Tokenizer {
    try Tokenizer(json: Array(tokenizerJSON.utf8), config: Array(configJSON(settings).utf8))
  }

  /// The `tokenizer_config.json`.
  ///
  /// - Throws: `invalidArgument` when a special token of the settings is not in the vocabulary,
  ///   `template` when the chat template is not valid.
  package func configJSON(_ settings: TokenizerSettings) throws(TokenizerError) -> String {
    var members: [(String, String)] = []
    func add(_ key: String, _ token: String?) throws(TokenizerError) {
      guard let token else { return }
      guard specialTokens.contains(where: { $0.utf8.elementsEqual(token.utf8) }) else {
        throw TokenizerError(
          .invalidArgument,
          "train: \(key) \"\(token.excerpt())\" is not one of the special tokens"
        )
      }
      members.append((key, token.quotedForJSON))
    }
    try add("bos_token", settings.bosToken)
    try add("eos_token", settings.eosToken)
    try add("pad_token", settings.padToken)
    if let template = settings.chatTemplate {
      _ = try TemplateParser.parse(template)
      members.insert(
        ("chat_template", template.quotedForJSON),
        at: settings.bosToken == nil ? 0 : 1
      )
    }
    guard settings.modelTokensMax > 0 else {
      throw TokenizerError(
        .invalidArgument,
        "train: a model of \(settings.modelTokensMax) tokens at most"
      )
    }
    members.append(("model_max_length", "\(settings.modelTokensMax)"))
    members.append(("tokenizer_class", "\"PreTrainedTokenizerFast\""))
    var writer = JSONLines()
    writer.open("{")
    for (index, (key, value)) in members.enumerated() {
      writer.line("\"\(key)\": \(value)\(index + 1 < members.count ? "," : "")")
    }
    writer.close("}")
    return writer.text + "\n"
  }
}

/// What `tokenizer_config.json` says beside the vocabulary.
package struct TokenizerSettings: Sendable, Equatable {
  /// The token before a text; nil for none.
  package var bosToken: String?
  /// The token that ends an answer; nil for none.
  package var eosToken: String?
  /// The token that fills up short rows of a batch; nil for none.
  package var padToken: String?
  /// The chat template, in Jinja; nil for a tokenizer that does not chat.
  package var chatTemplate: String?
  /// The most tokens the model takes.
  package var modelTokensMax: Int

  /// Makes settings.
  package init(
    bosToken: String? = nil,
    eosToken: String? = nil,
    padToken: String? = nil,
    chatTemplate: String? = nil,
    modelTokensMax: Int
  ) {
    self.bosToken = bosToken
    self.eosToken = eosToken
    self.padToken = padToken
    self.chatTemplate = chatTemplate
    self.modelTokensMax = modelTokensMax
  }
}

/// Writes indented JSON line by line, two spaces a level.
private struct JSONLines {
  private(set) var text = ""
  private var depth = 0

  mutating func line(_ content: String) {
    if !text.isEmpty { text += "\n" }
    text += String(repeating: "  ", count: depth) + content
  }

  mutating func open(_ content: String) {
    line(content)
    depth += 1
  }

  mutating func close(_ content: String) {
    depth -= 1
    line(content)
  }

  /// Writes an element for each index, with commas between them; an empty list on one line.
  mutating func list(
    _ start: String,
    _ indices: Range<Int>,
    end: String = "],",
    _ element: (inout JSONLines, Int) -> Void
  ) {
    guard !indices.isEmpty else { return line(start + end) }
    open(start)
    for index in indices {
      element(&self, index)
      if index + 1 < indices.upperBound { text += "," }
    }
    close(end)
  }

  mutating func byteLevel(_ key: String, addPrefixSpace: Bool) {
    open("\"\(key)\": {")
    line("\"type\": \"ByteLevel\",")
    line("\"add_prefix_space\": \(addPrefixSpace),")
    line("\"trim_offsets\": true,")
    line("\"use_regex\": true")
    close("},")
  }
}

extension String {
  /// As a JSON string, escaped as serde_json does: what must be, and nothing else.
  fileprivate var quotedForJSON: String {
    var result = "\""
    for scalar in unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "\u{8}": result += "\\b"
      case "\u{C}": result += "\\f"
      case "\u{0}"..."\u{1F}":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
