import JSON

/// One message of a conversation.
package struct ChatMessage: Sendable, Equatable {
  /// Who speaks: "system", "user" or "assistant", as the model's template knows them.
  package var role: String
  /// What is said.
  package var content: String

  /// Creates a message.
  package init(role: String, content: String) {
    self.role = role
    self.content = content
  }
}

/// A model's chat template, parsed, and the special tokens it may name.
struct ChatTemplate: Sendable {
  /// An error if the template is not valid: the model still encodes and decodes.
  private let statements: Result<[TemplateStatement], TokenizerError>
  private let specialTokens: [String: TemplateValue]

  /// Reads `tokenizer_config.json`, which may hold a template, and `chat_template.jinja`, which
  /// goes before it; nil if there is none.
  init?(config: [UInt8]?, chatTemplate: String?) throws(TokenizerError) {
    let name = "tokenizer_config.json"
    var specialTokens: [String: TemplateValue] = [:]
    var template = chatTemplate
    if let config {
      let section = try JSONSection(file: config, name: name)
      for key in Self.specialTokenKeys {
        specialTokens[key] = Self.content(section.object[key]).map(TemplateValue.string)
      }
      template = template ?? Self.template(section.object["chat_template"])
    }
    guard let template else { return nil }
    do {
      statements = .success(try TemplateParser.parse(template))
    } catch {
      statements = .failure(error)
    }
    self.specialTokens = specialTokens
  }

  /// What templates call the special tokens.
  private static let specialTokenKeys = [
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
  ]

  /// A special token: a string, or an object that describes it.
  private static func content(_ value: JSONValue?) -> String? {
    switch value {
    case .string(let content): content
    case .object(let token): content(token["content"])
    default: nil
    }
  }

  /// The template of tokenizer_config.json: a string, or the default of several with names.
  private static func template(_ value: JSONValue?) -> String? {
    switch value {
    case .string(let template): return template
    case .array(let templates):
      for case .object(let entry) in templates {
        if case .string(let name)? = entry["name"], name.utf8.elementsEqual("default".utf8),
          case .string(let text)? = entry["template"]
        {
          return text
        }
      }
      return nil
    default: return nil
    }
  }

  func render(
    _ messages: [ChatMessage],
    addGenerationPrompt: Bool,
    budget: TemplateBudget = TemplateBudget()
  ) throws(TokenizerError) -> String {
    let statements = try self.statements.get()
    var variables = specialTokens
    variables["messages"] = .array(
      TemplateArray(
        messages.map { message in
          .dictionary(
            TemplateDictionary([
              ("role", .string(message.role)), ("content", .string(message.content)),
            ])
          )
        }
      )
    )
    variables["add_generation_prompt"] = .bool(addGenerationPrompt)
    variables["tools"] = TemplateValue.none
    variables["documents"] = TemplateValue.none
    return try TemplateRun.render(statements, variables, budget: budget)
  }
}

extension Tokenizer {
  /// Whether the model has a chat template.
  package var hasChatTemplate: Bool { pipeline.chat != nil }

  /// Renders a conversation to the prompt that the model was trained on.
  ///
  /// It includes special tokens: encode it without adding any. `addGenerationPrompt` opens the
  /// assistant's turn in the end. The template runs in a sandbox bounded by `TemplateBudget`.
  package func renderChat(
    _ messages: [ChatMessage],
    addGenerationPrompt: Bool = true
  ) throws(TokenizerError) -> String {
    guard let chat = pipeline.chat else {
      throw TokenizerError(.unsupported, "the model has no chat template")
    }
    return try chat.render(messages, addGenerationPrompt: addGenerationPrompt)
  }
}
