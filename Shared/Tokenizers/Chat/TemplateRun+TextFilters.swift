/// Filters of text.
extension TemplateRun {
  mutating func apply(
    textFilter filter: TemplateFilter,
    to value: TemplateValue,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    switch filter {
    case .urlencode:
      _ = try bind(arguments, "urlencode", [])
      return .string(try urlEncoded(value))
    case .pprint:
      _ = try bind(arguments, "pprint", [])
      return .string(try representation(of: value))
    case .format: return .string(try format(value, arguments))
    case .indent: return .string(try indented(value, arguments))
    case .truncate: return try truncated(value, arguments)
    default: break
    }
    let text = try self.text(of: value)
    try pay(work: text.utf8.count)
    switch filter {
    case .trim:
      let values = try bind(arguments, "trim", ["chars"])
      return .string(try stripped(text, values[0] ?? .none))
    case .replace:
      let values = try bind(arguments, "replace", ["old", "new", "count"], required: 2)
      var count = -1
      if let value = values[2], !value.isNone {
        count = try integer(value, "the count of replace")
      }
      let old = try self.text(of: values[0] ?? .none)
      return .string(try replaced(text, old, try self.text(of: values[1] ?? .none), count))
    case .center:
      let values = try bind(arguments, "center", ["width"])
      return try call(
        method: "center",
        ofString: text,
        TemplateArguments([values[0] ?? .integer(80)])
      )
    default: break
    }
    _ = try bind(arguments, "the filter \(filter.rawValue)", [])
    try pay(building: text.utf8.count * (filter == .e || filter == .escape ? 5 : 3))
    switch filter {
    case .upper: return .string(PythonText.upper(text))
    case .lower: return .string(PythonText.lower(text))
    case .capitalize: return .string(PythonText.capitalized(text))
    case .title: return .string(title(text))
    case .e, .escape, .forceescape: return .string(escaped(text))
    case .wordcount: return .integer(wordCount(text))
    case .striptags: return .string(withoutTags(text))
    default: return .string(text)
    }
  }

  /// Jinja's: words begin after other characters than those of Python's `title`.
  private func title(_ text: String) -> String {
    var result = ""
    var word: [Unicode.Scalar] = []
    func flush() {
      guard let first = word.first else { return }
      result += PythonText.upper(String(first))
      result += PythonText.lower(String(scalars: word.dropFirst()))
      word = []
    }
    for scalar in text.unicodeScalars {
      if scalar.isPythonSpace || ["-", "(", "{", "[", "<"].contains(scalar) {
        flush()
        result += PythonText.upper(String(scalar))
      } else {
        word.append(scalar)
      }
    }
    flush()
    return result
  }

  private func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "'": result += "&#39;"
      case "\"": result += "&#34;"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  private func wordCount(_ text: String) -> Int {
    var count = 0
    var isInWord = false
    for scalar in text.unicodeScalars {
      let isWord = scalar == "_" || PythonText.isAlphanumeric(scalar)
      if isWord, !isInWord { count += 1 }
      isInWord = isWord
    }
    return count
  }

  /// As MarkupSafe: comments and tags go, entities become characters, white space becomes one space.
  private func withoutTags(_ text: String) -> String {
    let scalars = Array(text.unicodeScalars)
    var kept: [Unicode.Scalar] = []
    var index = 0
    // Searched for once: where none is found behind a place, none is behind later ones.
    var hasTagEnd = true
    func starts(_ word: [Unicode.Scalar]) -> Bool { scalars[index...].starts(with: word) }
    while index < scalars.count {
      if starts(["<", "!", "-", "-"]) {
        var end = index + 4
        while end + 2 < scalars.count,
          !(scalars[end] == "-" && scalars[end + 1] == "-" && scalars[end + 2] == ">")
        { end += 1 }
        if end + 2 < scalars.count {
          index = end + 3
          continue
        }
        kept += scalars[index...]
        break
      }
      if scalars[index] == "<", hasTagEnd {
        if let end = scalars[index...].firstIndex(of: ">") {
          index = end + 1
          continue
        }
        hasTagEnd = false
      }
      kept.append(scalars[index])
      index += 1
    }
    let words = String(scalars: kept).unicodeScalars.split { $0.isPythonSpace }
    var result = words.map { String($0) }.joined(separator: " ")
    let entities = [
      ("&lt;", "<"), ("&gt;", ">"), ("&#39;", "'"), ("&#34;", "\""), ("&quot;", "\""),
    ]
    for (entity, character) in entities { result = result.replacing(entity, with: character) }
    return result.replacing("&amp;", with: "&")
  }

  private mutating func urlEncoded(_ value: TemplateValue) throws(TokenizerError) -> String {
    var pairs: [TemplateValue]
    switch value {
    case .dictionary(let dictionary):
      pairs = TemplateView(kind: .items, dictionary: dictionary).elements
    case .array, .range, .view, .iterator, .undefined: pairs = try elements(of: value)
    default: return try urlEncoded(try text(of: value), isQuery: false)
    }
    var text = ""
    for (index, pair) in pairs.enumerated() {
      let parts = try elements(of: pair)
      guard parts.count == 2 else { throw failure("urlencode needs pairs") }
      if index > 0 { try append("&", to: &text) }
      try append(try urlEncoded(try self.text(of: parts[0]), isQuery: true), to: &text)
      try append("=", to: &text)
      try append(try urlEncoded(try self.text(of: parts[1]), isQuery: true), to: &text)
    }
    return text
  }

  private mutating func urlEncoded(
    _ text: String,
    isQuery: Bool
  ) throws(TokenizerError) -> String {
    try pay(building: text.utf8.count * 3)
    let digits = Array("0123456789ABCDEF".utf8)
    var result: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"), UInt8(ascii: "."),
        UInt8(ascii: "-"), UInt8(ascii: "~"):
        result.append(byte)
      case UInt8(ascii: "/") where !isQuery: result.append(byte)
      case UInt8(ascii: " ") where isQuery: result.append(UInt8(ascii: "+"))
      default: result += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: result, as: UTF8.self)
  }

  private mutating func format(
    _ value: TemplateValue,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> String {
    guard arguments.positional.isEmpty || arguments.named.isEmpty else {
      throw failure("format takes values either by order or by name")
    }
    let format = try text(of: value)
    if arguments.named.isEmpty { return try formatted(format, with: .tuple(arguments.positional)) }
    let names = TemplateDictionary(texts: arguments.named.map { ($0.name, $0.value) })
    return try formatted(format, with: .dictionary(names))
  }

  private mutating func indented(
    _ value: TemplateValue,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> String {
    let values = try bind(arguments, "indent", ["width", "first", "blank"])
    let indentation: String
    if case .string(let text)? = values[0] {
      indentation = text
    } else {
      let width = max(try integer(values[0] ?? .integer(4), "the width of indent"), 0)
      try pay(building: width)
      indentation = String(repeating: " ", count: width)
    }
    // Jinja adds a newline to the value, so it must be a string.
    let text = try string(value, "what indent indents")
    let lines = PythonText.lines(text + "\n")
    let (added, isOver) = lines.count.multipliedReportingOverflow(by: indentation.utf8.count)
    try pay(building: isOver ? .max : added)
    try pay(building: text.utf8.count)
    let isBlank = values[2]?.isTrue ?? false
    var result = values[1]?.isTrue ?? false ? indentation : ""
    for (index, line) in lines.enumerated() {
      if index > 0 { result += "\n" + (isBlank || !line.isEmpty ? indentation : "") }
      result += line
    }
    return result
  }

  private mutating func truncated(
    _ value: TemplateValue,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    let values = try bind(arguments, "truncate", ["length", "killwords", "end", "leeway"])
    let length = try integer(values[0] ?? .integer(255), "the length of truncate")
    let end = try string(values[2] ?? .string("..."), "the end of truncate")
    var leeway = 5
    if let value = values[3], !value.isNone { leeway = try integer(value, "the leeway") }
    let endCount = end.unicodeScalars.count
    guard length >= endCount, leeway >= 0 else { throw failure("truncate cuts too much") }
    guard let count = try count(of: value) else { throw failure("\(value.kind) has no length") }
    let (most, isOver) = length.addingReportingOverflow(leeway)
    if isOver || count <= most { return value }
    let text = try string(value, "what truncate cuts")
    try pay(building: text.utf8.count)
    let scalars = text.unicodeScalars
    var kept = Array(scalars.prefix(length - endCount))
    if !(values[1]?.isTrue ?? false), let space = kept.lastIndex(of: " ") {
      kept.removeSubrange(space...)
    }
    return .string(String(scalars: kept) + end)
  }
}
