internal import JSON

/// A row of token classification.
struct TokensRow {
  let tokens: [String]
  let tags: [String]
}

/// A row of sequence classification.
struct LabelledText {
  let text: String
  let label: String
}

/// One message of a conversation.
struct Message: Equatable, Sendable {
  let role: String
  let content: String
}

/// A row to learn language from.
enum LanguageRow: Sendable {
  case conversation([Message])
  case text(String)
}

/// Reads the members that a task needs; others are ignored.
///
/// The reasons are for messages that name the row; they never hold the row's text.
struct RowReader {
  /// What is wrong with a row.
  struct Problem: Error {
    let reason: String
  }

  private let object: JSONObject

  /// The most bytes of a role or a label.
  private static let nameBytesMax = 256

  init(_ bytes: UnsafeRawBufferPointer) throws(Problem) {
    let value: JSONValue
    do throws(JSONError) {
      value = try JSONReader.parse(bytes)
    } catch {
      throw Problem(reason: "is not JSON: \(error)")
    }
    guard case .object(let object) = value else {
      throw Problem(reason: "is \(value.kind), not an object")
    }
    self.object = object
  }

  func tokensRow() throws(Problem) -> TokensRow {
    let tokens = try strings("tokens")
    let tags = try strings("tags")
    guard tokens.count == tags.count else {
      throw Problem(reason: "has \(tokens.count) tokens and \(tags.count) tags")
    }
    guard !tokens.isEmpty else { throw Problem(reason: "has no tokens") }
    guard let tag = tags.first(where: { $0.isEmpty || $0.utf8.count > Self.nameBytesMax }) else {
      return TokensRow(tokens: tokens, tags: tags)
    }
    throw Problem(reason: "has a tag of \(tag.utf8.count) bytes (1...\(Self.nameBytesMax))")
  }

  func labelledText() throws(Problem) -> LabelledText {
    let text = try string("text", in: object)
    let label = try string("label", in: object)
    guard !label.isEmpty, label.utf8.count <= Self.nameBytesMax else {
      throw Problem(reason: "has a label of \(label.utf8.count) bytes (1...\(Self.nameBytesMax))")
    }
    return LabelledText(text: text, label: label)
  }

  func languageRow() throws(Problem) -> LanguageRow {
    guard let messages = object["messages"] else {
      guard object["text"] != nil else { throw Problem(reason: "has neither messages nor text") }
      let text = try string("text", in: object)
      guard !text.isEmpty else { throw Problem(reason: "has an empty text") }
      return .text(text)
    }
    guard case .array(let elements) = messages else {
      throw Problem(reason: "has messages that are \(messages.kind), not an array")
    }
    guard !elements.isEmpty, elements.count <= DataLimits.messagesMax else {
      throw Problem(reason: "has \(elements.count) messages (1...\(DataLimits.messagesMax))")
    }
    var result: [Message] = []
    for (index, element) in elements.enumerated() {
      guard case .object(let message) = element else {
        throw Problem(reason: "has message \(index + 1) that is \(element.kind), not an object")
      }
      let role = try string("role", in: message, of: "message \(index + 1)")
      guard !role.isEmpty, role.utf8.count <= Self.nameBytesMax else {
        throw Problem(reason: "has message \(index + 1) with a role of \(role.utf8.count) bytes")
      }
      let content = try string("content", in: message, of: "message \(index + 1)")
      result.append(Message(role: role, content: content))
    }
    return .conversation(result)
  }

  private func string(
    _ key: String,
    in object: JSONObject,
    of owner: String? = nil
  ) throws(Problem) -> String {
    let place = owner.map { " in \($0)" } ?? ""
    guard let value = object[key] else { throw Problem(reason: "has no \(key)\(place)") }
    guard case .string(let text) = value else {
      throw Problem(reason: "has \(key)\(place) that is \(value.kind), not a string")
    }
    return text
  }

  private func strings(_ key: String) throws(Problem) -> [String] {
    guard let value = object[key] else { throw Problem(reason: "has no \(key)") }
    guard case .array(let elements) = value else {
      throw Problem(reason: "has \(key) that are \(value.kind), not an array")
    }
    guard elements.count <= DataLimits.wordsMax else {
      throw Problem(reason: "has \(elements.count) \(key); at most \(DataLimits.wordsMax)")
    }
    var result: [String] = []
    result.reserveCapacity(elements.count)
    for (index, element) in elements.enumerated() {
      guard case .string(let text) = element else {
        throw Problem(reason: "has \(key)[\(index)] that is \(element.kind), not a string")
      }
      result.append(text)
    }
    return result
  }
}
