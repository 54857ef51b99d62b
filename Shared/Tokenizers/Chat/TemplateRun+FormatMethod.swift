import JSON

/// Python's `str.format`.
extension TemplateRun {
  /// What `format` takes its values from.
  private struct Source {
    var arguments: TemplateArguments
    /// The next field without a number; nil once a field had one.
    var next: Int? = 0
    var hasAutomatic = false
  }

  mutating func formatted(
    _ format: String,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> String {
    var source = Source(arguments: arguments)
    return try formatted(Array(format.unicodeScalars)[...], &source, nesting: 2)
  }

  private mutating func formatted(
    _ scalars: ArraySlice<Unicode.Scalar>,
    _ source: inout Source,
    nesting: Int
  ) throws(TokenizerError) -> String {
    guard nesting > 0 else { throw failure("fields of a format are nested too deeply") }
    try pay(work: scalars.count)
    var text = ""
    var index = scalars.startIndex
    while index < scalars.endIndex {
      let scalar = scalars[index]
      let isDouble = index + 1 < scalars.endIndex && scalars[index + 1] == scalar
      switch scalar {
      case "{" where isDouble, "}" where isDouble:
        try append(String(scalar), to: &text)
        index += 2
      case "}": throw failure("a single } in a format")
      case "{":
        let start = index + 1
        var depth = 0
        repeat {
          guard index < scalars.endIndex else { throw failure("a field of a format does not end") }
          if scalars[index] == "{" { depth += 1 }
          if scalars[index] == "}" { depth -= 1 }
          index += 1
        } while depth > 0
        try append(
          try field(scalars[start..<(index - 1)], &source, nesting: nesting),
          to: &text
        )
      default:
        let start = index
        while index < scalars.endIndex, scalars[index] != "{", scalars[index] != "}" { index += 1 }
        try append(String(scalars: scalars[start..<index]), to: &text)
      }
    }
    return text
  }

  private mutating func field(
    _ field: ArraySlice<Unicode.Scalar>,
    _ source: inout Source,
    nesting: Int
  ) throws(TokenizerError) -> String {
    var end = field.startIndex
    var isInBrackets = false
    while end < field.endIndex {
      if field[end] == "[" { isInBrackets = true }
      if field[end] == "]" { isInBrackets = false }
      if !isInBrackets, field[end] == ":" || field[end] == "!" { break }
      end += 1
    }
    var value = try self.value(field[..<end], &source)
    if end < field.endIndex, field[end] == "!" {
      guard end + 1 < field.endIndex else { throw failure("a conversion of a format is missing") }
      switch field[end + 1] {
      case "r", "a": value = .string(try representation(of: value))
      case "s": value = .string(try text(of: value))
      default: throw failure("the conversion !\(field[end + 1]) is not supported")
      }
      end += 2
      guard end == field.endIndex || field[end] == ":" else {
        throw failure("a conversion of a format is too long")
      }
    }
    guard end < field.endIndex else { return try text(of: value) }
    let specification = try formatted(field[(end + 1)...], &source, nesting: nesting - 1)
    return try formatted(value, specification)
  }

  private mutating func value(
    _ path: ArraySlice<Unicode.Scalar>,
    _ source: inout Source
  ) throws(TokenizerError) -> TemplateValue {
    var index = path.startIndex
    func part(_ ends: [Unicode.Scalar]) -> String {
      let start = index
      while index < path.endIndex, !ends.contains(path[index]) { index += 1 }
      return String(scalars: path[start..<index])
    }
    let first = part([".", "["])
    var value = try base(first, isWhole: index == path.endIndex, &source)
    while index < path.endIndex {
      let isAttribute = path[index] == "."
      index += 1
      let name = part(isAttribute ? [".", "["] : ["]"])
      guard !name.isEmpty else { throw failure("an empty name in a format") }
      if isAttribute {
        value = try attribute(name, of: value)
      } else {
        guard index < path.endIndex else { throw failure("a bracket in a format does not end") }
        index += 1
        value = try item(Int(name).map(TemplateValue.integer) ?? .string(name), of: value)
      }
    }
    return value
  }

  private func base(
    _ name: String,
    isWhole: Bool,
    _ source: inout Source
  ) throws(TokenizerError) -> TemplateValue {
    // Python's `string.Formatter`, which the sandbox uses, numbers only fields that are nothing but
    // a number or empty.
    var number = name.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(name) : nil
    if name.isEmpty, isWhole {
      guard let next = source.next else {
        throw failure("a format mixes fields with and without numbers")
      }
      number = next
      source.next = next + 1
      source.hasAutomatic = true
    } else if number != nil, isWhole {
      guard !source.hasAutomatic else {
        throw failure("a format mixes fields with and without numbers")
      }
      source.next = nil
    }
    if let number {
      guard number < source.arguments.positional.count else {
        throw failure("a format has no value \(number)")
      }
      return source.arguments.positional[number]
    }
    guard let value = source.arguments.named.first(where: { $0.name.isSame(name) }) else {
      throw failure("a format has no value \"\(name.excerpt(40))\"")
    }
    return value.value
  }

  // MARK: Specifications

  /// Python's `format(value, specification)`.
  mutating func formatted(
    _ value: TemplateValue,
    _ text: String
  ) throws(TokenizerError) -> String {
    var specification = try parsed(Array(text.unicodeScalars))
    if text.isEmpty { return try self.text(of: value) }
    let type = specification.type
    switch value {
    case .string(let string):
      guard type == nil || type == "s", specification.sign == "-", specification.grouping == nil,
        specification.alignment != "=", !specification.isAlternate
      else { throw failure("the format \"\(text.excerpt(40))\" is not for strings") }
      return try padded(cut(string, specification.precision), specification)
    case .bool where type == nil: return try formatted(.integer(value.integral ?? 0), text)
    case .bool, .integer, .unsigned:
      let allowed: [Unicode.Scalar?] = [nil, "d", "n", "x", "X", "o", "b", "c"]
      let isFraction = type.map { ["e", "E", "f", "F", "g", "G", "%"].contains($0) } ?? false
      guard allowed.contains(type) || isFraction,
        isFraction || specification.precision == nil
      else { throw failure("the format \"\(text.excerpt(40))\" is not for integers") }
      if type == "c" {
        guard let code = value.integral.flatMap(UInt32.init(exactly:)),
          let scalar = Unicode.Scalar(code)
        else { throw failure("the format c needs a character") }
        if specification.alignment == nil { specification.alignment = ">" }
        return try padded(String(scalar), specification)
      }
      return try formatted(value, specification)
    case .number:
      let allowed: [Unicode.Scalar?] = [nil, "e", "E", "f", "F", "g", "G", "n", "%"]
      guard allowed.contains(type) else {
        throw failure("the format \"\(text.excerpt(40))\" is not for numbers")
      }
      if type == "n" { specification.type = "g" }
      return try formatted(value, specification)
    default: throw failure("\(value.kind) takes no format")
    }
  }

  private func parsed(_ scalars: [Unicode.Scalar]) throws(TokenizerError) -> FormatSpecification {
    var result = FormatSpecification()
    var index = 0
    let alignments: [Unicode.Scalar] = ["<", ">", "=", "^"]
    func current() -> Unicode.Scalar? { index < scalars.count ? scalars[index] : nil }
    func digits() throws(TokenizerError) -> Int? {
      var value: Int?
      while let digit = current(), ("0"..."9").contains(digit) {
        value = (value ?? 0) * 10 + Int(digit.value) - 0x30
        guard value ?? 0 <= FormatSpecification.widthMax else {
          throw failure(
            "a format is wider than \(FormatSpecification.widthMax)",
            .limitExceeded
          )
        }
        index += 1
      }
      return value
    }
    if scalars.count > 1, alignments.contains(scalars[1]) {
      result.fill = scalars[0]
      result.alignment = scalars[1]
      index = 2
    } else if let first = current(), alignments.contains(first) {
      result.alignment = first
      index = 1
    }
    if let sign = current(), sign == "+" || sign == "-" || sign == " " {
      result.sign = sign
      index += 1
    }
    if current() == "z" { throw failure("the format z is not supported") }
    if current() == "#" {
      result.isAlternate = true
      index += 1
    }
    if current() == "0" {
      if result.alignment == nil {
        result.fill = "0"
        result.alignment = "="
      }
      index += 1
    }
    result.width = try digits() ?? 0
    if let grouping = current(), grouping == "," || grouping == "_" {
      result.grouping = grouping
      index += 1
    }
    if current() == "." {
      index += 1
      guard let precision = try digits() else { throw failure("a format lacks its precision") }
      result.precision = precision
    }
    if let type = current() {
      result.type = type
      index += 1
    }
    guard index == scalars.count else { throw failure("a format is not valid") }
    return result
  }
}
