import JSON

extension ChatRequest {
  private static let roles = ["system", "developer", "user", "assistant"]

  static func messages(of fields: JSONFields) throws(GatewayError) -> [Message] {
    guard let items = try fields.array("messages", count: 1...Limits.messagesMax) else {
      throw fields.missing("messages")
    }
    var messages: [Message] = []
    var bytes = 0
    for (index, item) in items.enumerated() {
      let message = try message(item, name: "messages[\(index)]")
      bytes += message.content.utf8.count
      guard bytes <= Limits.textBytesMax else {
        throw .invalid(
          "messages",
          "context_length_exceeded",
          "Invalid 'messages': the texts are longer than \(Limits.textBytesMax) bytes together."
        )
      }
      messages.append(message)
    }
    return messages
  }

  private static func message(_ value: JSONValue, name: String) throws(GatewayError) -> Message {
    let fields = try JSONFields(value, name: name)
    try fields.refuseUnknown([
      "role", "content", "name", "refusal", "annotations", "audio", "function_call", "tool_calls",
      "tool_call_id",
    ])
    guard let role = fields.value("role") else { throw fields.missing("role") }
    let word = try JSONFields.text(role, name: "\(name).role", bytesMax: Limits.remarkBytesMax)
    guard roles.contains(where: word.isSame) else {
      throw .value(of: "\(name).role", word, allowed: roles)
    }
    // An answer of this API, sent back as a message, carries these; only their absence has a
    // meaning that the models know. A name is a remark on the speaker that no template renders.
    _ = try fields.text("name", bytesMax: Limits.remarkBytesMax)
    for field in ["refusal", "audio", "function_call", "tool_call_id"]
    where fields.value(field) != nil {
      throw fields.unsupported(field)
    }
    for field in ["annotations", "tool_calls"] {
      if let value = fields.value(field), !value.isEmptyArray { throw fields.unsupported(field) }
    }
    let content = fields.object.members.first { $0.key.isSame("content") }
    guard let content = content?.value else { throw fields.missing("content") }
    return Message(
      role: word == "developer" ? "system" : word,
      content: try text(of: content, name: "\(name).content")
    )
  }

  /// A message's text; the texts of several parts are joined by line feeds, as vLLM and llama.cpp
  /// do.
  private static func text(of content: JSONValue, name: String) throws(GatewayError) -> String {
    switch content {
    case .string: return try JSONFields.text(content, name: name, bytesMax: Limits.textBytesMax)
    case .array(let parts):
      try JSONFields.check(parts, name: name, count: 1...Limits.partsMax)
      var texts: [String] = []
      for (index, part) in parts.enumerated() {
        texts.append(try text(ofPart: part, name: "\(name)[\(index)]"))
      }
      return texts.joined(separator: "\n")
    default: throw .type(of: name, "a string or an array of objects", content)
    }
  }

  private static func text(ofPart part: JSONValue, name: String) throws(GatewayError) -> String {
    let fields = try JSONFields(part, name: name)
    guard try fields.text("type", bytesMax: Limits.remarkBytesMax) != nil else {
      throw fields.missing("type")
    }
    _ = try fields.choice("type", of: ["text"])
    try fields.refuseUnknown(["type", "text"])
    guard let text = try fields.text("text", bytesMax: Limits.textBytesMax) else {
      throw fields.missing("text")
    }
    return text
  }
}
