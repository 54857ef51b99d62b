import Files
internal import Tokenizers

/// The files of a tokenizer, which go with the model.
struct TokenizerFiles {
  /// By name; `tokenizer.json` is there.
  private(set) var files: [String: [UInt8]] = [:]

  /// The files that are copied where a base model has them.
  private static let names = [
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt",
    "chat_template.jinja", "generation_config.json",
  ]

  /// Reads those of a model folder.
  init(copiedFrom folder: String) throws(TrainerError) {
    for name in Self.names where FileSystem.isFile("\(folder)/\(name)") {
      files[name] = try FileSystem.read("\(folder)/\(name)")
    }
    guard files["tokenizer.json"] != nil else {
      throw TrainerError(.invalidModel, "base model: \(folder)/tokenizer.json does not exist")
    }
  }

  /// What begins a text, begins a message and ends one, in the order of their ids.
  private static let specialTokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
  /// ChatML, the format of conversations in wide use.
  private static let chatTemplate =
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    + "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
  /// The ids of what begins a text (and pads), and of what ends a message.
  static let beginID = 0
  static let endID = 2

  /// Trains a byte-level BPE tokenizer with ChatML on the texts of `rows`.
  init(
    trainedOn rows: [LanguageRow],
    _ scratch: TrainingConfiguration.ScratchModel
  ) throws(TrainerError) {
    let settings = TokenizerSettings(
      bosToken: Self.specialTokens[Self.beginID],
      eosToken: Self.specialTokens[Self.endID],
      padToken: Self.specialTokens[Self.beginID],
      chatTemplate: Self.chatTemplate,
      modelTokensMax: scratch.context
    )
    do throws(TokenizerError) {
      var trainer = try BPETrainer(
        BPETrainingOptions(
          vocabularySize: scratch.vocabulary,
          specialTokens: Self.specialTokens
        )
      )
      for row in rows {
        switch row {
        case .text(let text): try trainer.add(text)
        case .conversation(let messages):
          for message in messages { try trainer.add(message.content) }
        }
      }
      let trained = trainer.train()
      files["tokenizer.json"] = Array(trained.tokenizerJSON.utf8)
      files["tokenizer_config.json"] = Array(try trained.configJSON(settings).utf8)
    } catch {
      throw TrainerError(.invalidConfiguration, "the tokenizer: \(error)", cause: error)
    }
    files["chat_template.jinja"] = Array(Self.chatTemplate.utf8)
    files["generation_config.json"] = Array(
      """
      {
        "bos_token_id": \(Self.beginID),
        "eos_token_id": \(Self.endID),
        "pad_token_id": \(Self.beginID)
      }

      """.utf8
    )
  }

  /// The tokenizer that they describe.
  func tokenizer() throws(TrainerError) -> Tokenizer {
    do throws(TokenizerError) {
      return try Tokenizer(
        json: files["tokenizer.json"] ?? [],
        config: files["tokenizer_config.json"],
        chatTemplate: files["chat_template.jinja"].map { String(decoding: $0, as: UTF8.self) }
      )
    } catch {
      throw TrainerError(.invalidModel, "tokenizer: \(error)", cause: error)
    }
  }

  /// Writes them into `folder`.
  func write(to folder: String) throws(TrainerError) {
    for (name, bytes) in files.sorted(by: { $0.key < $1.key }) {
      try FileSystem.write(bytes, to: "\(folder)/\(name)")
    }
  }
}
