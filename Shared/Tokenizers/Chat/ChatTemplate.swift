package import JSON

/// A model's chat templates, parsed, and the special tokens they may name.
///
/// They are run as `transformers` runs them: Jinja2 with `trim_blocks`, `lstrip_blocks`, loop
/// controls, `generation` blocks, `raise_exception`, `strftime_now` and its own `tojson`.
package struct ChatTemplate: Sendable {
  private struct Named {
    var name: String
    /// An error if the template is not valid: the model still encodes and decodes.
    var block: Result<TemplateBlock, TokenizerError>
  }

  private let templates: [Named]
  private let specialTokens: [String: TemplateValue]

  /// A template on its own, with no special tokens.
  ///
  /// - Throws: `template` naming line and cause, `limitExceeded`.
  package init(_ template: String) throws(TokenizerError) {
    let block = try TemplateParser.parse(template)
    templates = [Named(name: Self.defaultName, block: .success(block))]
    specialTokens = [:]
  }

  /// Reads the templates of a model; nil if there are none.
  ///
  /// `config` is `tokenizer_config.json`, which may hold a template or several with names;
  /// `chatTemplate` is `chat_template.jinja` and `additional` the files of
  /// `additional_chat_templates/`, by name without `.jinja`. As in transformers, templates in files
  /// replace all of those in the configuration.
  ///
  /// - Throws: `invalidFile` if the configuration is not a JSON object, `limitExceeded`. A template
  ///   that is not valid is an error when it is rendered.
  package init?(
    config: [UInt8]?,
    chatTemplate: String?,
    additional: [(name: String, template: String)] = []
  ) throws(TokenizerError) {
    let name = "tokenizer_config.json"
    var specialTokens: [String: TemplateValue] = [:]
    var sources: [(name: String, template: String)] = []
    if let chatTemplate { sources.append((Self.defaultName, chatTemplate)) }
    sources += additional
    if let config {
      let section = try JSONSection(file: config, name: name)
      for key in Self.specialTokenKeys {
        specialTokens[key] = Self.content(section.object[key]).map(TemplateValue.string)
      }
      if sources.isEmpty { sources = Self.templates(section.object["chat_template"]) }
    }
    if sources.isEmpty { return nil }
    guard sources.count <= TemplateLimits.namedTemplatesMax else {
      throw TokenizerError(
        .limitExceeded,
        "\(sources.count) chat templates, the limit is \(TemplateLimits.namedTemplatesMax)"
      )
    }
    var templates: [Named] = []
    for source in sources where !templates.contains(where: { $0.name.isSame(source.name) }) {
      let block: Result<TemplateBlock, TokenizerError>
      do {
        block = .success(try TemplateParser.parse(source.template))
      } catch {
        block = .failure(error)
      }
      templates.append(Named(name: source.name, block: block))
    }
    self.templates = templates
    self.specialTokens = specialTokens
  }

  private static let defaultName = "default"
  private static let toolName = "tool_use"

  /// The names of the templates; "default" if there is one without name.
  package var names: [String] { templates.map(\.name) }

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

  /// The templates of tokenizer_config.json: a string, or several with names.
  private static func templates(_ value: JSONValue?) -> [(name: String, template: String)] {
    switch value {
    case .string(let template): return [(defaultName, template)]
    case .array(let entries):
      var templates: [(name: String, template: String)] = []
      for case .object(let entry) in entries {
        if case .string(let name)? = entry["name"], case .string(let text)? = entry["template"] {
          templates.append((name, text))
        }
      }
      return templates
    default: return []
    }
  }

  private func block(
    _ name: String?,
    hasTools: Bool
  ) throws(TokenizerError) -> TemplateBlock {
    func named(_ name: String) -> Named? { templates.first { $0.name.isSame(name) } }
    let found: Named?
    if let name {
      found = named(name)
    } else {
      found = (hasTools ? named(Self.toolName) : nil) ?? named(Self.defaultName)
    }
    guard let found else {
      let all = names.map { $0.excerpt(40) }.joined(separator: ", ")
      throw TokenizerError(
        .invalidArgument,
        "no chat template \"\((name ?? Self.defaultName).excerpt(40))\", there are: \(all)"
      )
    }
    return try found.block.get()
  }

  // MARK: Rendering

  /// Renders a conversation of texts.
  func render(
    _ messages: [ChatMessage],
    addGenerationPrompt: Bool,
    budget: TemplateBudget = TemplateBudget()
  ) throws(TokenizerError) -> String {
    let values = messages.map { message in
      TemplateValue.dictionary(
        TemplateDictionary(texts: [
          ("role", .string(message.role)), ("content", .string(message.content)),
        ])
      )
    }
    let block = try block(nil, hasTools: false)
    var variables = specialTokens
    variables["messages"] = .list(values)
    variables["add_generation_prompt"] = .bool(addGenerationPrompt)
    variables["tools"] = TemplateValue.none
    variables["documents"] = TemplateValue.none
    return try TemplateRun.render(block, variables, budget: budget).text
  }

  /// Renders a conversation as `apply_chat_template` of transformers does.
  ///
  /// - Throws: `template` naming line and cause, `refusedByTemplate`, `limitExceeded`,
  ///   `invalidArgument` if there is no template of the name.
  package func render(
    _ request: ChatRequest,
    clock: TemplateClock = .system
  ) throws(TokenizerError) -> RenderedChat {
    let block = try block(request.templateName, hasTools: request.tools != nil)
    var variables = specialTokens
    for member in request.variables.members {
      variables[member.key] = TemplateValue(member.value)
    }
    variables["messages"] = .list(request.messages.map(Self.message))
    variables["tools"] =
      request.tools.map { .list($0.map(TemplateValue.init)) } ?? TemplateValue.none
    variables["documents"] =
      request.documents.map { .list($0.map(TemplateValue.init)) } ?? TemplateValue.none
    variables["add_generation_prompt"] = .bool(request.addGenerationPrompt)
    return try TemplateRun.render(block, variables, clock: clock)
  }

  /// Renders a template with the members of `context` as its variables and nothing else.
  ///
  /// - Throws: as `render`.
  package func render(
    context: JSONObject,
    templateName: String? = nil,
    clock: TemplateClock = .system
  ) throws(TokenizerError) -> RenderedChat {
    let block = try block(templateName, hasTools: false)
    var variables = specialTokens
    for member in context.members { variables[member.key] = TemplateValue(member.value) }
    return try TemplateRun.render(block, variables, clock: clock)
  }

  private static let reasoningKeys = ["reasoning_content", "thinking", "reasoning"]

  /// A message; its reasoning is given under all names that templates know, as by transformers.
  private static func message(_ value: JSONValue) -> TemplateValue {
    guard case .object(let object) = value,
      let reasoning = reasoningKeys.lazy.compactMap({ object[$0] }).first
    else { return TemplateValue(value) }
    let members = object.members.map { (key: $0.key, value: TemplateValue($0.value)) }
    let content = TemplateValue(reasoning)
    return .dictionary(
      TemplateDictionary(
        texts: [("thinking", content)] + members + [("reasoning_content", content)]
      )
    )
  }
}

extension TemplateValue {
  init(_ value: JSONValue) {
    switch value {
    case .null: self = .none
    case .boolean(let bool): self = .bool(bool)
    case .integer(let integer): self = .integer(integer)
    case .unsigned(let integer): self = .unsigned(integer)
    case .number(let number): self = .number(number)
    case .string(let string): self = .string(string)
    case .array(let elements): self = .list(elements.map(TemplateValue.init))
    case .object(let object):
      self = .dictionary(
        TemplateDictionary(texts: object.members.map { ($0.key, TemplateValue($0.value)) })
      )
    }
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
    try chatTemplate().render(messages, addGenerationPrompt: addGenerationPrompt)
  }

  /// Renders a conversation with tools, documents and variables, and says what of it the assistant
  /// says.
  package func renderChat(
    _ request: ChatRequest,
    clock: TemplateClock = .system
  ) throws(TokenizerError) -> RenderedChat {
    try chatTemplate().render(request, clock: clock)
  }

  private func chatTemplate() throws(TokenizerError) -> ChatTemplate {
    guard let chat = pipeline.chat else {
      throw TokenizerError(.unsupported, "the model has no chat template")
    }
    return chat
  }
}
