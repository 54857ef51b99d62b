extension JSONValue {
  /// The value as JSON text of one line, or indented by two spaces a level.
  ///
  /// Numbers that JSON cannot write (infinite, not a number) become null. Members keep their order.
  /// Depth is bounded by that of the value.
  package func serialized(isIndented: Bool = false) -> String {
    var writer = JSONWriter(isIndented: isIndented)
    writer.write(self, depth: 0)
    return writer.text
  }
}

private struct JSONWriter {
  let isIndented: Bool
  var text = ""

  init(isIndented: Bool) { self.isIndented = isIndented }

  mutating func write(_ value: JSONValue, depth: Int) {
    switch value {
    case .null: text += "null"
    case .boolean(let flag): text += flag ? "true" : "false"
    case .integer(let number): text += String(number)
    case .unsigned(let number): text += String(number)
    case .number(let number): text += number.isFinite ? String(number) : "null"
    case .string(let string): write(string)
    case .array(let elements):
      text += "["
      for (index, element) in elements.enumerated() {
        separate(index, depth + 1)
        write(element, depth: depth + 1)
      }
      if !elements.isEmpty { newLine(depth) }
      text += "]"
    case .object(let object):
      text += "{"
      for (index, member) in object.members.enumerated() {
        separate(index, depth + 1)
        write(member.key)
        text += isIndented ? ": " : ":"
        write(member.value, depth: depth + 1)
      }
      if object.count > 0 { newLine(depth) }
      text += "}"
    }
  }

  private mutating func separate(_ index: Int, _ depth: Int) {
    if index > 0 { text += "," }
    newLine(depth)
  }

  private mutating func newLine(_ depth: Int) {
    guard isIndented else { return }
    text += "\n" + String(repeating: "  ", count: depth)
  }

  private mutating func write(_ string: String) {
    text += "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}
