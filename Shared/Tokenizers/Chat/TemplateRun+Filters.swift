/// Filters, tests, functions and methods.
extension TemplateRun {
  mutating func apply(
    _ filter: TemplateFilter,
    to value: TemplateValue,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    switch filter {
    case .trim:
      try require(arguments.areOnly(), filter)
      return .string(try stripped(try text(of: value)))
    case .upper, .lower:
      try require(arguments.areOnly(), filter)
      return .string(try cased(try text(of: value), isUpper: filter == .upper))
    case .length, .count:
      try require(arguments.areOnly(), filter)
      return .integer(try length(of: value))
    case .string:
      try require(arguments.areOnly(), filter)
      return .string(try text(of: value))
    case .default, .d:
      try require(arguments.areOnly("default_value", "boolean"), filter)
      let isMissing: Bool
      if case .undefined = value { isMissing = true } else { isMissing = false }
      let countsFalse = arguments.value(1, "boolean")?.isTrue ?? false
      guard isMissing || (countsFalse && !value.isTrue) else { return value }
      return arguments.value(0, "default_value") ?? .string("")
    case .join:
      try require(arguments.areOnly("d"), filter)
      return try joined(value, by: arguments.value(0, "d"))
    case .tojson:
      try require(arguments.values.allSatisfy { $0.name == "indent" }, filter)
      var json = ""
      try appendJSON(of: value, indent: try indent(arguments), level: 0, to: &json)
      return .string(json)
    case .first, .last:
      try require(arguments.areOnly(), filter)
      return try end(of: value, isFirst: filter == .first)
    }
  }

  private func require(_ condition: Bool, _ filter: TemplateFilter) throws(TokenizerError) {
    guard condition else {
      throw failure("the filter \"\(filter.rawValue)\" does not take these arguments")
    }
  }

  private mutating func stripped(
    _ string: String,
    start: Bool = true,
    end: Bool = true
  ) throws(TokenizerError) -> String {
    try pay(building: string.utf8.count)
    var scalars = Substring(string).unicodeScalars
    if start { scalars = scalars.drop { $0.isPythonSpace } }
    while end, let last = scalars.last, last.isPythonSpace { scalars.removeLast() }
    return String(scalars)
  }

  private mutating func cased(_ string: String, isUpper: Bool) throws(TokenizerError) -> String {
    // One character becomes three at most.
    try pay(building: string.utf8.count * 3)
    return isUpper ? string.uppercased() : string.lowercased()
  }

  private mutating func length(of value: TemplateValue) throws(TokenizerError) -> Int {
    switch value {
    case .undefined: return 0
    case .string(let string):
      try pay(work: string.utf8.count)
      return string.unicodeScalars.count
    case .array(let array): return array.elements.count
    case .dictionary(let dictionary): return dictionary.members.count
    default: throw failure("\(value.kind) has no length")
    }
  }

  private mutating func joined(
    _ value: TemplateValue,
    by separator: TemplateValue?
  ) throws(TokenizerError) -> TemplateValue {
    let elements: [TemplateValue]
    switch value {
    case .undefined: elements = []
    case .array(let array): elements = array.elements
    case .dictionary(let dictionary): elements = dictionary.members.map { .string($0.key) }
    case .string(let string):
      try pay(building: string.utf8.count * Self.elementBytes)
      elements = string.unicodeScalars.map { .string(String($0)) }
    default: throw failure("\(value.kind) cannot be joined")
    }
    var between = ""
    if let separator { between = try text(of: separator) }
    var result = ""
    for (index, element) in elements.enumerated() {
      try pay(work: TemplateLimits.stepWork)
      if index > 0 { try append(between, to: &result) }
      try append(try text(of: element), to: &result)
    }
    return .string(result)
  }

  private mutating func end(
    of value: TemplateValue,
    isFirst: Bool
  ) throws(TokenizerError) -> TemplateValue {
    let end: TemplateValue?
    switch value {
    case .array(let array): end = isFirst ? array.elements.first : array.elements.last
    case .string(let string):
      let scalars = string.unicodeScalars
      end = (isFirst ? scalars.first : scalars.last).map { .string(String($0)) }
    case .dictionary(let dictionary):
      let member = isFirst ? dictionary.members.first : dictionary.members.last
      end = member.map { .string($0.key) }
    case .undefined: end = nil
    default: throw failure("\(value.kind) has no first or last element")
    }
    return end ?? .undefined("an element of an empty value")
  }

  func test(_ value: TemplateValue, _ test: TemplateTest) -> Bool {
    switch (test, value) {
    case (.undefined, .undefined), (.none, .none), (.string, .string), (.boolean, .bool),
      (.integer, .integer), (.number, .integer), (.number, .number), (.number, .bool),
      (.mapping, .dictionary), (.sequence, .array), (.sequence, .string),
      (.sequence, .dictionary), (.sequence, .undefined), (.iterable, .array),
      (.iterable, .string), (.iterable, .dictionary), (.iterable, .undefined),
      (.true, .bool(true)), (.false, .bool(false)):
      return true
    case (.defined, .undefined): return false
    case (.defined, _): return true
    default: return false
    }
  }

  // MARK: Calls

  mutating func call(
    _ callee: TemplateExpression,
    _ arguments: [TemplateExpression.Argument]
  ) throws(TokenizerError) -> TemplateValue {
    switch callee.kind {
    case .name("raise_exception"):
      let arguments = try evaluate(arguments)
      var reason = ""
      if let message = arguments.value(0, "message") { reason = try text(of: message) }
      throw failure("refused: \(reason.prefix(200))", .refusedByTemplate)
    case .name("namespace"):
      var members: [String: TemplateValue] = [:]
      for (name, value) in try evaluate(arguments).values {
        guard let name else { throw failure("namespace takes named arguments only") }
        if case .namespace = value { throw failure("a namespace cannot hold a namespace") }
        members[name] = value
      }
      try pay(building: members.count * Self.elementBytes * 2)
      return .namespace(TemplateNamespace(members))
    case .attribute(let base, let method):
      let value = try evaluate(base)
      let arguments = try evaluate(arguments)
      line = callee.line
      return try call(method, of: value, arguments)
    case .name(let name): throw failure("the function \"\(name)\" is not supported")
    default: throw failure("this cannot be called")
    }
  }

  private mutating func call(
    _ method: String,
    of value: TemplateValue,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    switch (value, method, arguments.values.count) {
    case (.string(let string), "strip", 0): return .string(try stripped(string))
    case (.string(let string), "lstrip", 0): return .string(try stripped(string, end: false))
    case (.string(let string), "rstrip", 0): return .string(try stripped(string, start: false))
    case (.string(let string), "upper", 0): return .string(try cased(string, isUpper: true))
    case (.string(let string), "lower", 0): return .string(try cased(string, isUpper: false))
    case (.string(let string), "startswith", 1), (.string(let string), "endswith", 1):
      guard case .string(let part) = arguments.values[0].value else { break }
      try pay(work: part.utf8.count)
      let isAtStart = string.utf8.starts(with: part.utf8)
      let isAtEnd = string.utf8.reversed().starts(with: part.utf8.reversed())
      return .bool(method == "startswith" ? isAtStart : isAtEnd)
    case (.dictionary(let dictionary), "get", 1...2):
      guard case .string(let key) = arguments.values[0].value else { break }
      try pay(work: dictionary.members.count)
      return dictionary[key] ?? arguments.value(1, "default") ?? .none
    case (.dictionary(let dictionary), "items", 0):
      try pay(building: dictionary.members.count * Self.elementBytes * 3)
      var pairs: [TemplateValue] = []
      for member in dictionary.members {
        pairs.append(try array([.string(member.key), member.value]))
      }
      return try array(pairs)
    case (.undefined(let name), _, _): throw failure("\"\(name)\" is undefined")
    default: break
    }
    throw failure("the method \"\(method)\" of \(value.kind) is not supported with these arguments")
  }

  // MARK: JSON

  private func indent(_ arguments: TemplateArguments) throws(TokenizerError) -> Int? {
    guard let value = arguments.values.first?.value else { return nil }
    if case .none = value { return nil }
    guard let indent = value.integral, (0...16).contains(indent) else {
      throw failure("tojson: the indent must be an integer from 0 to 16")
    }
    return indent
  }

  /// As Python's `json.dumps` with `ensure_ascii=False`.
  private mutating func appendJSON(
    of value: TemplateValue,
    indent: Int?,
    level: Int,
    to json: inout String
  ) throws(TokenizerError) {
    switch value {
    case .undefined(let name): throw failure("tojson: \"\(name)\" is undefined")
    case .none: try append("null", to: &json)
    case .bool(let bool): try append(bool ? "true" : "false", to: &json)
    case .integer(let integer): try append(String(integer), to: &json)
    case .number(let number): try append(String(number), to: &json)
    case .string(let string): try append(try jsonString(string), to: &json)
    case .namespace: throw failure("tojson: a namespace is not JSON")
    case .array(let array):
      try append("[", to: &json)
      for (index, element) in array.elements.enumerated() {
        try appendBreak(isFirst: index == 0, indent, level + 1, to: &json)
        try appendJSON(of: element, indent: indent, level: level + 1, to: &json)
      }
      if !array.elements.isEmpty { try appendBreak(isFirst: true, indent, level, to: &json) }
      try append("]", to: &json)
    case .dictionary(let dictionary):
      try append("{", to: &json)
      for (index, member) in dictionary.members.enumerated() {
        try appendBreak(isFirst: index == 0, indent, level + 1, to: &json)
        try append(try jsonString(member.key), to: &json)
        try append(": ", to: &json)
        try appendJSON(of: member.value, indent: indent, level: level + 1, to: &json)
      }
      if !dictionary.members.isEmpty { try appendBreak(isFirst: true, indent, level, to: &json) }
      try append("}", to: &json)
    }
  }

  private mutating func appendBreak(
    isFirst: Bool,
    _ indent: Int?,
    _ level: Int,
    to json: inout String
  ) throws(TokenizerError) {
    guard let indent else {
      if !isFirst { try append(", ", to: &json) }
      return
    }
    if !isFirst { try append(",", to: &json) }
    try append("\n" + String(repeating: " ", count: indent * level), to: &json)
  }

  private mutating func jsonString(_ string: String) throws(TokenizerError) -> String {
    // One byte becomes six at most; paid for are those that are there, then those that came of it.
    try pay(work: string.utf8.count * 6)
    // Bytes, not a String: appending many small parts to one is slow.
    var json = [UInt8(ascii: "\"")]
    json.reserveCapacity(string.utf8.count + 2)
    for byte in string.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): json += [UInt8(ascii: "\\"), byte]
      case 0x0A: json += Array("\\n".utf8)
      case 0x0D: json += Array("\\r".utf8)
      case 0x09: json += Array("\\t".utf8)
      case 0x08: json += Array("\\b".utf8)
      case 0x0C: json += Array("\\f".utf8)
      case 0..<0x20:
        json += Array((byte < 0x10 ? "\\u000" : "\\u00").utf8) + Array(String(byte, radix: 16).utf8)
      default: json.append(byte)
      }
    }
    json.append(UInt8(ascii: "\""))
    return String(decoding: json, as: UTF8.self)
  }
}
