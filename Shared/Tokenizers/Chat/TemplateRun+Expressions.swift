/// Evaluating expressions.
extension TemplateRun {
  mutating func evaluate(
    _ expression: TemplateExpression
  ) throws(TokenizerError) -> TemplateValue {
    line = expression.line
    try pay(work: TemplateLimits.stepWork)
    switch expression.kind {
    case .literal(let value): return value
    case .name(let name): return variable(name)
    case .array(let parts): return try list(parts)
    case .dictionary(let members): return try dictionary(members)
    case .attribute(let base, let name): return try member(of: try evaluate(base), name)
    case .index(let base, let key):
      let value = try evaluate(base)
      return try element(of: value, try evaluate(key))
    case .slice(let base, let from, let to): return try slice(base, from, to)
    case .call(let callee, let arguments): return try call(callee, arguments)
    case .filter(let base, let filter, let arguments):
      let value = try evaluate(base)
      return try apply(filter, to: value, try evaluate(arguments))
    case .test(let base, let test, let isNegated):
      return .bool(self.test(try evaluate(base), test) != isNegated)
    case .not(let operand): return .bool(try !evaluate(operand).isTrue)
    case .negative(let operand): return try negated(try evaluate(operand))
    case .and(let left, let right):
      let value = try evaluate(left)
      return value.isTrue ? try evaluate(right) : value
    case .or(let left, let right):
      let value = try evaluate(left)
      return value.isTrue ? value : try evaluate(right)
    case .arithmetic(let operation, let left, let right):
      let value = try evaluate(left)
      return try arithmetic(operation, value, try evaluate(right))
    case .concatenation(let parts): return try concatenation(parts)
    case .comparison(let left, let others): return try comparison(left, others)
    case .conditional(let condition, let value, let otherwise):
      if try evaluate(condition).isTrue { return try evaluate(value) }
      guard let otherwise else { return .undefined("an if without else") }
      return try evaluate(otherwise)
    }
  }

  private mutating func list(_ parts: [TemplateExpression]) throws(TokenizerError) -> TemplateValue
  {
    try pay(building: parts.count * Self.elementBytes)
    var elements: [TemplateValue] = []
    for part in parts { elements.append(try evaluate(part)) }
    return try array(elements)
  }

  /// Makes a list, which must not be nested too deeply or hold a namespace.
  func array(_ elements: [TemplateValue]) throws(TokenizerError) -> TemplateValue {
    let array = TemplateArray(elements)
    try check(elements, depth: array.depth)
    return .array(array)
  }

  private func check(_ values: [TemplateValue], depth: Int) throws(TokenizerError) {
    guard depth <= TemplateLimits.valueDepthMax else {
      throw failure("a value is nested deeper than \(TemplateLimits.valueDepthMax)")
    }
    for case .namespace in values { throw failure("a namespace cannot be put into another value") }
  }

  private mutating func dictionary(
    _ parts: [(key: TemplateExpression, value: TemplateExpression)]
  ) throws(TokenizerError) -> TemplateValue {
    try pay(building: parts.count * Self.elementBytes * 2)
    try pay(work: parts.count * parts.count)
    var members: [(key: String, value: TemplateValue)] = []
    for part in parts {
      guard case .string(let key) = try evaluate(part.key) else {
        throw failure("only strings can be keys")
      }
      members.append((key, try evaluate(part.value)))
    }
    let dictionary = TemplateDictionary(members)
    try check(members.map(\.value), depth: dictionary.depth)
    return .dictionary(dictionary)
  }

  private mutating func member(
    of value: TemplateValue,
    _ name: String
  ) throws(TokenizerError) -> TemplateValue {
    switch value {
    case .undefined(let missing):
      throw failure("\"\(missing)\" is undefined, it has no \"\(name)\"")
    case .dictionary(let dictionary):
      try pay(work: dictionary.members.count)
      return dictionary[name] ?? .undefined(name)
    case .namespace(let namespace): return namespace.members[name] ?? .undefined(name)
    default: return .undefined(name)
    }
  }

  private mutating func element(
    of value: TemplateValue,
    _ key: TemplateValue
  ) throws(TokenizerError) -> TemplateValue {
    switch (value, key) {
    case (.undefined(let missing), _):
      throw failure("\"\(missing)\" is undefined, it has no elements")
    case (.dictionary(let dictionary), .string(let key)):
      try pay(work: dictionary.members.count)
      return dictionary[key] ?? .undefined(key)
    case (.array(let array), _):
      guard let index = key.integral,
        let position = Self.position(index, count: array.elements.count)
      else { break }
      return array.elements[position]
    case (.string(let string), _):
      try pay(work: string.utf8.count)
      let scalars = string.unicodeScalars
      guard let index = key.integral, let position = Self.position(index, count: scalars.count)
      else { break }
      return .string(String(scalars[scalars.index(scalars.startIndex, offsetBy: position)]))
    default: break
    }
    if case .string(let name) = key { return .undefined(name) }
    return .undefined("an element of \(value.kind)")
  }

  /// The position that a Python index means; nil if there is none.
  private static func position(_ index: Int, count: Int) -> Int? {
    if index >= 0 { return index < count ? index : nil }
    return index >= -count ? count + index : nil
  }

  private mutating func slice(
    _ base: TemplateExpression,
    _ from: TemplateExpression?,
    _ to: TemplateExpression?
  ) throws(TokenizerError) -> TemplateValue {
    let value = try evaluate(base)
    let from = try bound(from)
    let to = try bound(to)
    func range(_ count: Int) -> Range<Int> {
      func clamp(_ index: Int) -> Int {
        index >= 0 ? min(index, count) : index >= -count ? count + index : 0
      }
      let start = clamp(from ?? 0)
      return start..<max(start, clamp(to ?? count))
    }
    switch value {
    case .array(let array):
      let range = range(array.elements.count)
      try pay(building: range.count * Self.elementBytes)
      return .array(TemplateArray(Array(array.elements[range])))
    case .string(let string):
      try pay(building: string.utf8.count)
      let scalars = Array(string.unicodeScalars)
      return .string(String(scalars: scalars[range(scalars.count)]))
    case .undefined(let missing):
      throw failure("\"\(missing)\" is undefined, it has no elements")
    default: throw failure("\(value.kind) has no slices")
    }
  }

  private mutating func bound(_ expression: TemplateExpression?) throws(TokenizerError) -> Int? {
    guard let expression else { return nil }
    let value = try evaluate(expression)
    if case .none = value { return nil }
    guard let index = value.integral else {
      throw failure("\(value.kind) cannot be the bound of a slice")
    }
    return index
  }

  private mutating func concatenation(
    _ parts: [TemplateExpression]
  ) throws(TokenizerError) -> TemplateValue {
    var texts: [String] = []
    for part in parts {
      let value = try evaluate(part)
      texts.append(try text(of: value))
    }
    try pay(building: texts.reduce(0) { $0 + $1.utf8.count })
    return .string(texts.joined())
  }

  private mutating func comparison(
    _ left: TemplateExpression,
    _ others: [(TemplateExpression.Comparison, TemplateExpression)]
  ) throws(TokenizerError) -> TemplateValue {
    var value = try evaluate(left)
    for (comparison, other) in others {
      let right = try evaluate(other)
      guard try compare(value, comparison, right) else { return .bool(false) }
      value = right
    }
    return .bool(true)
  }

  mutating func evaluate(
    _ arguments: [TemplateExpression.Argument]
  ) throws(TokenizerError) -> TemplateArguments {
    var values: [(name: String?, value: TemplateValue)] = []
    for argument in arguments { values.append((argument.name, try evaluate(argument.value))) }
    return TemplateArguments(values: values)
  }
}

/// Evaluated arguments of a call.
struct TemplateArguments {
  var values: [(name: String?, value: TemplateValue)]

  /// The argument at `position` among those without name, or the one called `name`.
  func value(_ position: Int, _ name: String) -> TemplateValue? {
    let positional = values.filter { $0.name == nil }
    if position < positional.count { return positional[position].value }
    return values.first { $0.name == name }?.value
  }

  /// Whether there are no others than these, in this order.
  func areOnly(_ names: String...) -> Bool {
    values.count { $0.name == nil } <= names.count
      && values.allSatisfy { $0.name.map(names.contains) ?? true }
  }
}
