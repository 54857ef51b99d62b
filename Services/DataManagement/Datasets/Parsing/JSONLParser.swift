import JSON
import Store

/// Reads files of one JSON object a line.
struct JSONLParser: LineParser {
  private let limits: DatasetLimits
  private let decoder: RowDecoder
  var lines: LineReader

  init(options: ParserOptions, limits: DatasetLimits) {
    self.limits = limits
    decoder = RowDecoder(options: options, limits: limits)
    lines = LineReader(bytesMax: limits.lineBytesMax)
  }

  mutating func take(
    _ line: LineReader.Line,
    _ number: UInt64,
    _ sink: ParsedItemSink
  ) throws(DataError) {
    let item: ParsedItem
    switch line {
    case .tooLong:
      item = .bad(line: number, reason: "longer than \(limits.lineBytesMax) bytes")
    case .bytes(let bytes):
      guard bytes.contains(where: { $0 != 0x20 && $0 != 0x09 && $0 != 0x0D }) else { return }
      do throws(RowProblem) {
        item = .row(try decoder.row(bytes), line: number)
      } catch {
        item = .bad(line: number, reason: error.reason)
      }
    }
    try sink(item)
  }
}

/// Makes rows of JSON objects.
struct RowDecoder {
  private let options: ParserOptions
  private let limits: DatasetLimits

  init(options: ParserOptions, limits: DatasetLimits) {
    self.options = options
    self.limits = limits
  }

  /// The row of one JSON text.
  func row(_ bytes: UnsafeRawBufferPointer) throws(RowProblem) -> DatasetRow {
    let value: JSONValue
    do {
      // Of an object with both lists full, each element is a value.
      value = try JSONReader.parse(bytes, valuesMax: 4 * limits.rowItemsMax)
    } catch {
      throw RowProblem("not JSON: \(error.reason) at byte \(error.byte)")
    }
    guard case .object(let object) = value else {
      throw RowProblem("\(value.kind), where an object was expected")
    }
    return try row(object)
  }

  private func row(_ object: JSONObject) throws(RowProblem) -> DatasetRow {
    switch options.kind {
    case .tokenClassification: return try tokens(try needed(.tokens, in: object), in: object)
    case .sequenceClassification:
      return .labelled(
        text: try text(.text, try needed(.text, in: object)),
        label: try label(try needed(.label, in: object))
      )
    case .text: return .text(try text(.text, try needed(.text, in: object)))
    case .chat, nil: break
    }
    if let tokens = value(.tokens, in: object), options.kind == nil {
      return try self.tokens(tokens, in: object)
    }
    if let messages = value(.messages, in: object) { return try chat(messages) }
    if let prompt = value(.prompt, in: object), let answer = value(.completion, in: object) {
      return .chat([
        ChatMessage(role: "user", content: try text(.prompt, prompt)),
        ChatMessage(role: "assistant", content: try text(.completion, answer)),
      ])
    }
    guard options.kind == nil, let found = value(.text, in: object) else {
      throw RowProblem("it has neither \(expectedKeys); its keys are \(Self.keys(of: object))")
    }
    let text = try text(.text, found)
    guard let label = value(.label, in: object) else { return .text(text) }
    return .labelled(text: text, label: try self.label(label))
  }

  private var expectedKeys: String {
    options.kind == .chat
      ? "messages nor prompt and completion"
      : "tokens and tags, messages, prompt and completion, nor text"
  }

  private func value(_ role: ColumnRole, in object: JSONObject) -> JSONValue? {
    for name in options.names(of: role) {
      if let value = object[name] { return value }
    }
    return nil
  }

  private func needed(
    _ role: ColumnRole,
    in object: JSONObject
  ) throws(RowProblem) -> JSONValue {
    guard let value = value(role, in: object) else {
      throw RowProblem("it has no \(role.rawValue); its keys are \(Self.keys(of: object))")
    }
    return value
  }

  private static func keys(of object: JSONObject) -> String {
    let shown = object.members.prefix(8).map { $0.key.excerpt(20) }.joined(separator: ", ")
    return object.count > 8 ? "\(shown), …" : shown.isEmpty ? "none" : shown
  }

  private func text(_ role: ColumnRole, _ value: JSONValue) throws(RowProblem) -> String {
    guard case .string(let text) = value else {
      throw RowProblem("\(role.rawValue) is \(value.kind), not a string")
    }
    guard !text.isBlank else { throw RowProblem("\(role.rawValue) is empty") }
    return try checkedText(text)
  }

  private func label(_ value: JSONValue) throws(RowProblem) -> String {
    switch value {
    case .string(let text): return try checkedText(text)
    case .integer(let number):
      guard !options.labelNames.isEmpty else { return String(number) }
      guard options.labelNames.indices.contains(number) else {
        throw RowProblem("label \(number): there are \(options.labelNames.count) label names")
      }
      return options.labelNames[number]
    case .boolean(let flag): return flag ? "true" : "false"
    default: throw RowProblem("label is \(value.kind), not a string or whole number")
    }
  }

  private func tokens(
    _ value: JSONValue,
    in object: JSONObject
  ) throws(RowProblem) -> DatasetRow {
    guard case .array(let elements) = value else {
      throw RowProblem("tokens is \(value.kind), not an array")
    }
    let found = try needed(.tags, in: object)
    guard case .array(let tagElements) = found else {
      throw RowProblem("tags is \(found.kind), not an array")
    }
    guard !elements.isEmpty else { throw RowProblem("there are no tokens") }
    guard elements.count == tagElements.count else {
      throw RowProblem("\(elements.count) tokens but \(tagElements.count) tags")
    }
    guard elements.count <= limits.rowItemsMax else {
      throw RowProblem("over \(limits.rowItemsMax) tokens")
    }
    var tokens: [String] = []
    var tags: [String] = []
    for (element, tag) in zip(elements, tagElements) {
      guard case .string(let token) = element else {
        throw RowProblem("token \(tokens.count) is \(element.kind), not a string")
      }
      guard !token.isEmpty else { throw RowProblem("token \(tokens.count) is empty") }
      tokens.append(try checkedText(token))
      if case .integer(let number) = tag, options.labelNames.isEmpty {
        throw RowProblem("tag \(number) is a number: give the names of the labels")
      }
      tags.append(try label(tag))
    }
    return .tokens(tokens, tags: tags)
  }

  /// Messages of OpenAI's form (`role`, `content`) or ShareGPT's (`from`, `value`).
  private func chat(_ value: JSONValue) throws(RowProblem) -> DatasetRow {
    guard case .array(let elements) = value else {
      throw RowProblem("messages is \(value.kind), not an array")
    }
    guard elements.count <= limits.rowItemsMax else {
      throw RowProblem("over \(limits.rowItemsMax) messages")
    }
    var messages: [ChatMessage] = []
    for (index, element) in elements.enumerated() {
      guard case .object(let message) = element else {
        throw RowProblem("message \(index) is \(element.kind), not an object")
      }
      guard case .string(let name)? = message["role"] ?? message["from"] else {
        throw RowProblem("message \(index) has no role")
      }
      guard let role = Self.roles[name] else {
        throw RowProblem(
          "message \(index): role \"\(name.excerpt(20))\" is not system, user, assistant or tool"
        )
      }
      guard case .string(let content)? = message["content"] ?? message["value"] else {
        throw RowProblem("message \(index) has no text content")
      }
      messages.append(ChatMessage(role: role, content: try checkedText(content)))
    }
    guard messages.contains(where: { $0.role == "assistant" && !$0.content.isBlank }) else {
      throw RowProblem("no message of the assistant to learn from")
    }
    return .chat(messages)
  }

  private static let roles = [
    "system": "system", "developer": "system", "user": "user", "human": "user",
    "assistant": "assistant", "gpt": "assistant", "tool": "tool",
  ]
}
