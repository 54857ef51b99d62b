/// The filter `tojson` as transformers defines it: Python's `json.dumps`.
extension TemplateRun {
  private struct Style {
    var indent: String?
    var itemSeparator: String
    var keySeparator: String
    var isASCII: Bool
    var isSorted: Bool
  }

  mutating func json(
    _ value: TemplateValue,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    let names = ["ensure_ascii", "indent", "separators", "sort_keys"]
    let values = try bind(arguments, "tojson", names)
    var style = Style(
      indent: nil,
      itemSeparator: ", ",
      keySeparator: ": ",
      isASCII: values[0]?.isTrue ?? false,
      isSorted: values[3]?.isTrue ?? false
    )
    switch values[1] ?? .none {
    case .none: break
    case .string(let indent): style.indent = indent
    case let indent:
      let width = max(try integer(indent, "the indent of tojson"), 0)
      try pay(building: width)
      style.indent = String(repeating: " ", count: width)
    }
    if style.indent != nil { style.itemSeparator = "," }
    if let separators = values[2], !separators.isNone {
      let parts = try elements(of: separators)
      guard parts.count == 2 else { throw failure("tojson needs two separators") }
      style.itemSeparator = try string(parts[0], "a separator of tojson")
      style.keySeparator = try string(parts[1], "a separator of tojson")
    }
    var text = ""
    try appendJSON(value, to: &text, style, level: 0)
    return .string(text)
  }

  private mutating func appendJSON(
    _ value: TemplateValue,
    to text: inout String,
    _ style: Style,
    level: Int
  ) throws(TokenizerError) {
    try enter()
    defer { leave() }
    switch value {
    case .none: try append("null", to: &text)
    case .bool(let bool): try append(bool ? "true" : "false", to: &text)
    case .integer(let integer): try append(String(integer), to: &text)
    case .unsigned(let integer): try append(String(integer), to: &text)
    case .number(let number): try append(Self.json(number), to: &text)
    case .string(let string): try appendJSON(string, to: &text, style)
    case .array(let array):
      if array.elements.isEmpty { return try append("[]", to: &text) }
      try append("[", to: &text)
      for (index, element) in array.elements.enumerated() {
        if index > 0 { try append(style.itemSeparator, to: &text) }
        try appendNewLine(to: &text, style, level + 1)
        try appendJSON(element, to: &text, style, level: level + 1)
      }
      try appendNewLine(to: &text, style, level)
      try append("]", to: &text)
    case .dictionary(let dictionary):
      if dictionary.members.isEmpty { return try append("{}", to: &text) }
      try append("{", to: &text)
      var members = dictionary.members
      if style.isSorted {
        members = try sorted(members) { (run, left, right) throws(TokenizerError) in
          try run.precedes(left.key, right.key)
        }
      }
      for (index, member) in members.enumerated() {
        if index > 0 { try append(style.itemSeparator, to: &text) }
        try appendNewLine(to: &text, style, level + 1)
        try appendJSON(try key(member.key), to: &text, style)
        try append(style.keySeparator, to: &text)
        try appendJSON(member.value, to: &text, style, level: level + 1)
      }
      try appendNewLine(to: &text, style, level)
      try append("}", to: &text)
    default: throw failure("\(value.kind) cannot be written as JSON")
    }
  }

  private mutating func appendNewLine(
    to text: inout String,
    _ style: Style,
    _ level: Int
  ) throws(TokenizerError) {
    guard let indent = style.indent else { return }
    try pay(building: 1 + indent.utf8.count * level)
    text += "\n" + String(repeating: indent, count: level)
  }

  private func key(_ value: TemplateValue) throws(TokenizerError) -> String {
    switch value {
    case .string(let string): return string
    case .none: return "null"
    case .bool(let bool): return bool ? "true" : "false"
    case .integer(let integer): return String(integer)
    case .number(let number): return Self.json(number)
    default: throw failure("\(value.kind) cannot be a key in JSON")
    }
  }

  private static func json(_ number: Double) -> String {
    guard number.isFinite else {
      return number.isNaN ? "NaN" : number < 0 ? "-Infinity" : "Infinity"
    }
    return PythonNumbers.representation(number)
  }

  private mutating func appendJSON(
    _ string: String,
    to text: inout String,
    _ style: Style
  ) throws(TokenizerError) {
    try pay(building: string.utf8.count + 2)
    var bytes: [UInt8] = [UInt8(ascii: "\"")]
    bytes.reserveCapacity(string.utf8.count + 2)
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": bytes += Array("\\\"".utf8)
      case "\\": bytes += Array("\\\\".utf8)
      case "\n": bytes += Array("\\n".utf8)
      case "\r": bytes += Array("\\r".utf8)
      case "\t": bytes += Array("\\t".utf8)
      case "\u{8}": bytes += Array("\\b".utf8)
      case "\u{C}": bytes += Array("\\f".utf8)
      default:
        let value = scalar.value
        if value < 0x20 || (style.isASCII && value >= 0x7F) {
          for unit in String(scalar).utf16 {
            bytes += Array("\\u\(Self.hexadecimal(UInt32(unit), 4))".utf8)
          }
        } else {
          bytes.append(scalar: value)
        }
      }
    }
    bytes.append(UInt8(ascii: "\""))
    try pay(building: max(0, bytes.count - string.utf8.count))
    text += String(decoding: bytes, as: UTF8.self)
  }

  /// Sorts stably with an order that may fail or be too much work.
  mutating func sorted<Element>(
    _ elements: [Element],
    _ precedes: (inout TemplateRun, Element, Element) throws(TokenizerError) -> Bool
  ) throws(TokenizerError) -> [Element] {
    guard elements.count > 1 else { return elements }
    var source = elements
    var width = 1
    while width < source.count {
      var merged: [Element] = []
      merged.reserveCapacity(source.count)
      try pay(building: source.count * Self.elementBytes)
      for start in stride(from: 0, to: source.count, by: 2 * width) {
        let middle = min(start + width, source.count)
        let end = min(start + 2 * width, source.count)
        var (left, right) = (start, middle)
        while left < middle, right < end {
          if try precedes(&self, source[right], source[left]) {
            merged.append(source[right])
            right += 1
          } else {
            merged.append(source[left])
            left += 1
          }
        }
        merged += source[left..<middle]
        merged += source[right..<end]
      }
      source = merged
      width *= 2
    }
    return source
  }
}
