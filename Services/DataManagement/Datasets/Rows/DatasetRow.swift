/// What the rows of a dataset are.
package enum RowKind: String, Sendable, CaseIterable {
  /// Tokens, each with a tag.
  case tokenClassification = "token-classification"
  /// A text with a label.
  case sequenceClassification = "sequence-classification"
  /// The messages of a conversation.
  case chat
  /// A text.
  case text
}

/// One message of a chat.
package struct ChatMessage: Sendable, Equatable {
  /// `system`, `user`, `assistant` or `tool`.
  package var role: String
  /// Its text.
  package var content: String

  /// A message with its values.
  package init(role: String, content: String) {
    self.role = role
    self.content = content
  }
}

/// One row of a dataset.
package enum DatasetRow: Sendable, Equatable {
  /// As many tokens as tags.
  case tokens([String], tags: [String])
  /// A text and its label.
  case labelled(text: String, label: String)
  /// A conversation.
  case chat([ChatMessage])
  /// A text.
  case text(String)

  /// What kind of row it is.
  package var kind: RowKind {
    switch self {
    case .tokens: .tokenClassification
    case .labelled: .sequenceClassification
    case .chat: .chat
    case .text: .text
    }
  }

  /// Its length: tokens, or words of the texts (separated by ASCII white space).
  package var tokenCount: Int {
    switch self {
    case .tokens(let tokens, _): tokens.count
    case .labelled(let text, _), .text(let text): Self.wordCount(text)
    case .chat(let messages): messages.reduce(0) { $0 + Self.wordCount($1.content) }
    }
  }

  private static func wordCount(_ text: String) -> Int {
    var count = 0
    var isInside = false
    for byte in text.utf8 {
      let isSpace = byte == 0x20 || (0x09...0x0D).contains(byte)
      if !isSpace && !isInside { count += 1 }
      isInside = !isSpace
    }
    return count
  }

  /// Appends the row as one JSON object, without a line feed: the form in which rows are stored.
  ///
  /// The same row always has the same bytes: no spaces, keys in a fixed order, only `"`, `\` and control
  /// characters escaped.
  package func appendJSON(to bytes: inout [UInt8]) {
    switch self {
    case .tokens(let tokens, let tags):
      bytes.append(contentsOf: #"{"tokens":["#.utf8)
      Self.appendStrings(tokens, to: &bytes)
      bytes.append(contentsOf: #"],"tags":["#.utf8)
      Self.appendStrings(tags, to: &bytes)
      bytes.append(contentsOf: "]}".utf8)
    case .labelled(let text, let label):
      bytes.append(contentsOf: #"{"text":"#.utf8)
      Self.appendString(text, to: &bytes)
      bytes.append(contentsOf: #","label":"#.utf8)
      Self.appendString(label, to: &bytes)
      bytes.append(UInt8(ascii: "}"))
    case .chat(let messages):
      bytes.append(contentsOf: #"{"messages":["#.utf8)
      for (index, message) in messages.enumerated() {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        bytes.append(contentsOf: #"{"role":"#.utf8)
        Self.appendString(message.role, to: &bytes)
        bytes.append(contentsOf: #","content":"#.utf8)
        Self.appendString(message.content, to: &bytes)
        bytes.append(UInt8(ascii: "}"))
      }
      bytes.append(contentsOf: "]}".utf8)
    case .text(let text):
      bytes.append(contentsOf: #"{"text":"#.utf8)
      Self.appendString(text, to: &bytes)
      bytes.append(UInt8(ascii: "}"))
    }
  }

  private static func appendStrings(_ strings: [String], to bytes: inout [UInt8]) {
    for (index, string) in strings.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      appendString(string, to: &bytes)
    }
  }

  private static func appendString(_ string: String, to bytes: inout [UInt8]) {
    bytes.append(UInt8(ascii: "\""))
    for byte in string.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        bytes.append(UInt8(ascii: "\\"))
        bytes.append(byte)
      case 0x0A: bytes.append(contentsOf: #"\n"#.utf8)
      case 0x0D: bytes.append(contentsOf: #"\r"#.utf8)
      case 0x09: bytes.append(contentsOf: #"\t"#.utf8)
      case 0..<0x20:
        bytes.append(contentsOf: #"\u00"#.utf8)
        for digit in [byte >> 4, byte & 15] {
          bytes.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
        }
      default: bytes.append(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }
}
