/// Values as text.
extension TemplateRun {
  /// Python's `str`: what `{{ … }}` writes.
  mutating func text(of value: TemplateValue) throws(TokenizerError) -> String {
    switch value {
    case .string(let string): return string
    case .undefined: return ""
    default: return try representation(of: value)
    }
  }

  mutating func append(_ part: String, to text: inout String) throws(TokenizerError) {
    try pay(building: part.utf8.count)
    text += part
  }

  /// Python's `repr`.
  mutating func representation(of value: TemplateValue) throws(TokenizerError) -> String {
    var text = ""
    var open: [TemplateNamespace] = []
    try appendRepresentation(of: value, to: &text, &open)
    return text
  }

  private mutating func appendRepresentation(
    of value: TemplateValue,
    to text: inout String,
    _ open: inout [TemplateNamespace]
  ) throws(TokenizerError) {
    try enter()
    defer { leave() }
    switch value {
    case .string(let string): try append(quoted(string), to: &text)
    case .array(let array):
      try append(array.isList ? "[" : "(", to: &text)
      try appendRepresentations(of: array.elements, to: &text, &open)
      if !array.isList, array.elements.count == 1 { try append(",", to: &text) }
      try append(array.isList ? "]" : ")", to: &text)
    case .dictionary(let dictionary):
      try append("{", to: &text)
      for (index, member) in dictionary.members.enumerated() {
        if index > 0 { try append(", ", to: &text) }
        try appendRepresentation(of: member.key, to: &text, &open)
        try append(": ", to: &text)
        try appendRepresentation(of: member.value, to: &text, &open)
      }
      try append("}", to: &text)
    case .view(let view):
      try append("dict_\(view.kind.rawValue)([", to: &text)
      try appendRepresentations(of: view.elements, to: &text, &open)
      try append("])", to: &text)
    case .namespace(let namespace):
      if open.contains(where: { $0 === namespace }) {
        try append("<Namespace {...}>", to: &text)
        return
      }
      open.append(namespace)
      try append("<Namespace {", to: &text)
      for (index, member) in namespace.members.enumerated() {
        try append((index > 0 ? ", " : "") + quoted(member.name) + ": ", to: &text)
        try appendRepresentation(of: member.value, to: &text, &open)
      }
      try append("}>", to: &text)
      open.removeLast()
    default: try append(try simpleRepresentation(of: value), to: &text)
    }
  }

  private mutating func appendRepresentations(
    of elements: [TemplateValue],
    to text: inout String,
    _ open: inout [TemplateNamespace]
  ) throws(TokenizerError) {
    for (index, element) in elements.enumerated() {
      if index > 0 { try append(", ", to: &text) }
      try appendRepresentation(of: element, to: &text, &open)
    }
  }

  private mutating func simpleRepresentation(
    of value: TemplateValue
  ) throws(TokenizerError) -> String {
    switch value {
    case .undefined: return "Undefined"
    case .none: return "None"
    case .bool(let bool): return bool ? "True" : "False"
    case .integer(let integer): return String(integer)
    case .unsigned(let integer): return String(integer)
    case .number(let number): return PythonNumbers.representation(number)
    case .range(let range):
      let step = range.step == 1 ? "" : ", \(range.step)"
      return "range(\(range.start), \(range.stop)\(step))"
    case .loop(let loop): return "<LoopContext \(loop.index0 + 1)/\(try loop.count(&self))>"
    case .function(.macro(let macro)):
      return try "<Macro "
        + (macro.definition.name.map { (name) throws(TokenizerError) in
          try quoted(name)
        } ?? "anonymous") + ">"
    // Python writes addresses here, which nothing can equal.
    case .iterator: return "<generator object>"
    case .cycler: return "<Cycler object>"
    default: return "<function>"
    }
  }

  /// A string as Python writes it in a list.
  mutating func quoted(_ string: String) throws(TokenizerError) -> String {
    try pay(work: string.utf8.count * 6)
    let scalars = string.unicodeScalars
    let quote: Unicode.Scalar = scalars.contains("'") && !scalars.contains("\"") ? "\"" : "'"
    var text: [UInt8] = []
    text.append(scalar: quote.value)
    for scalar in scalars {
      switch scalar {
      case "\n": text += Array("\\n".utf8)
      case "\r": text += Array("\\r".utf8)
      case "\t": text += Array("\\t".utf8)
      case "\\", quote:
        text.append(UInt8(ascii: "\\"))
        text.append(scalar: scalar.value)
      default:
        if PythonText.isPrintable(scalar) {
          text.append(scalar: scalar.value)
        } else {
          let (mark, width) =
            scalar.value < 0x100 ? ("x", 2) : scalar.value < 0x10000 ? ("u", 4) : ("U", 8)
          text += Array("\\\(mark)\(Self.hexadecimal(scalar.value, width))".utf8)
        }
      }
    }
    text.append(scalar: quote.value)
    return String(decoding: text, as: UTF8.self)
  }

  static func hexadecimal(_ value: UInt32, _ width: Int) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
  }
}
