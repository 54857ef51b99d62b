import JSON

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
    case .rendered: return .string(rendered)
    case .unknown(let cause): throw failure(cause)
    default: break
    }
    try enter()
    defer { leave() }
    switch expression.kind {
    case .array, .dictionary, .concatenation, .slice: return try evaluateParts(expression)
    case .and, .or, .not, .conditional, .comparison: return try evaluateLogic(expression)
    default: return try evaluateOperation(expression)
    }
  }

  private mutating func evaluateOperation(
    _ expression: TemplateExpression
  ) throws(TokenizerError) -> TemplateValue {
    switch expression.kind {
    case .attribute(let base, let name):
      let value = try evaluate(base)
      line = expression.line
      return try attribute(name, of: value)
    case .index(let base, let key):
      let value = try evaluate(base)
      let key = try evaluate(key)
      line = expression.line
      return try item(key, of: value)
    case .call(let function, let arguments):
      let callee = try evaluate(function)
      let values = try evaluate(arguments)
      line = expression.line
      return try call(callee, values)
    case .filter(let base, let filter, let arguments):
      let value = try evaluate(base)
      let values = try evaluate(arguments)
      line = expression.line
      return try apply(filter, to: value, values)
    case .test(let base, let test, let arguments):
      let value = try evaluate(base)
      let values = try evaluate(arguments)
      line = expression.line
      return .bool(try self.test(value, test, values))
    case .negative(let operand): return try negated(try evaluate(operand))
    case .positive(let operand): return try positive(try evaluate(operand))
    case .arithmetic(let operation, let left, let right):
      let left = try evaluate(left)
      let right = try evaluate(right)
      line = expression.line
      return try arithmetic(operation, left, right)
    default: return .none
    }
  }

  private mutating func evaluateLogic(
    _ expression: TemplateExpression
  ) throws(TokenizerError) -> TemplateValue {
    switch expression.kind {
    case .not(let operand): return .bool(try !evaluate(operand).isTrue)
    case .and(let left, let right):
      let value = try evaluate(left)
      return value.isTrue ? try evaluate(right) : value
    case .or(let left, let right):
      let value = try evaluate(left)
      return value.isTrue ? value : try evaluate(right)
    case .conditional(let condition, let value, let otherwise):
      if try evaluate(condition).isTrue { return try evaluate(value) }
      guard let otherwise else {
        return .undefined(
          .other("an \"if\" in line \(expression.line) was false and has no \"else\"")
        )
      }
      return try evaluate(otherwise)
    case .comparison(let first, let others):
      var left = try evaluate(first)
      for (comparison, expression) in others {
        let right = try evaluate(expression)
        guard try compare(comparison, left, right) else { return .bool(false) }
        left = right
      }
      return .bool(true)
    default: return .none
    }
  }

  private mutating func evaluateParts(
    _ expression: TemplateExpression
  ) throws(TokenizerError) -> TemplateValue {
    switch expression.kind {
    case .array(let parts, let kind):
      try pay(building: parts.count * Self.elementBytes)
      var elements: [TemplateValue] = []
      for part in parts { elements.append(try evaluate(part)) }
      return try array(elements, kind)
    case .dictionary(let parts):
      try pay(building: parts.count * Self.elementBytes * 2)
      var members: [(key: TemplateValue, value: TemplateValue)] = []
      for part in parts {
        let key = try evaluate(part.key)
        members.append((key, try evaluate(part.value)))
      }
      return try dictionary(members)
    case .concatenation(let parts):
      var text = ""
      for part in parts { try append(try self.text(of: try evaluate(part)), to: &text) }
      return .string(text)
    case .slice(let base, let slice):
      let value = try evaluate(base)
      let from = try slice.from.map { (part) throws(TokenizerError) in try evaluate(part) }
      let to = try slice.to.map { (part) throws(TokenizerError) in try evaluate(part) }
      let step = try slice.step.map { (part) throws(TokenizerError) in try evaluate(part) }
      line = expression.line
      return try self.slice(value, from ?? .none, to ?? .none, step ?? .none)
    default: return .none
    }
  }

  mutating func evaluate(
    _ arguments: TemplateCallArguments
  ) throws(TokenizerError) -> TemplateArguments {
    var values = TemplateArguments()
    for part in arguments.positional { values.positional.append(try evaluate(part)) }
    for part in arguments.named { values.named.append((part.name, try evaluate(part.value))) }
    if let rest = arguments.rest {
      values.positional += try elements(of: try evaluate(rest))
    }
    if let rest = arguments.namedRest {
      guard case .dictionary(let dictionary) = try evaluate(rest) else {
        throw failure("what follows ** is not a dictionary")
      }
      try pay(work: dictionary.members.count * (dictionary.members.count + values.named.count))
      for member in dictionary.members {
        guard case .string(let name) = member.key else {
          throw failure("a name of an argument is not a string")
        }
        guard !values.named.contains(where: { $0.name.isSame(name) }) else {
          throw failure("two arguments are named \"\(name.excerpt(40))\"")
        }
        values.named.append((name, member.value))
      }
    }
    return values
  }

  // MARK: Lists and dictionaries

  /// Makes a list, which must not be nested too deeply.
  func array(
    _ elements: [TemplateValue],
    _ kind: TemplateArray.Kind = .list
  ) throws(TokenizerError) -> TemplateValue {
    let array = TemplateArray(elements, kind)
    try check(depth: array.depth)
    return .array(array)
  }

  func check(depth: Int) throws(TokenizerError) {
    guard depth <= TemplateLimits.valueDepthMax else {
      throw failure(
        "a value is nested deeper than \(TemplateLimits.valueDepthMax)",
        .limitExceeded
      )
    }
  }

  /// The value as a key; pays for hashing and comparing it.
  mutating func key(_ value: TemplateValue) throws(TokenizerError) -> TemplateKey {
    try payForKey(value)
    guard let key = TemplateKey(value) else { throw failure("\(value.kind) cannot be a key") }
    return key
  }

  private mutating func payForKey(_ value: TemplateValue) throws(TokenizerError) {
    switch value {
    case .string(let text): try pay(work: text.utf8.count)
    case .array(let array):
      try pay(work: array.elements.count)
      for element in array.elements { try payForKey(element) }
    default: break
    }
  }

  mutating func dictionary(
    _ members: [(key: TemplateValue, value: TemplateValue)]
  ) throws(TokenizerError) -> TemplateValue {
    var keyed: [(key: TemplateKey, value: TemplateValue)] = []
    for member in members { keyed.append((try key(member.key), member.value)) }
    let dictionary = TemplateDictionary(keyed)
    try check(depth: dictionary.depth)
    return .dictionary(dictionary)
  }

  // MARK: Going through values

  /// The number of elements if Python's `len` knows it.
  mutating func count(of value: TemplateValue) throws(TokenizerError) -> Int? {
    switch value {
    case .undefined: return 0
    case .string(let string):
      try pay(work: string.utf8.count)
      return string.unicodeScalars.count
    case .array(let array): return array.elements.count
    case .dictionary(let dictionary): return dictionary.members.count
    case .range(let range): return range.count
    case .view(let view): return view.dictionary.members.count
    case .loop(let loop): return try loop.count(&self)
    default: return nil
    }
  }

  /// All elements; an iterator is used up.
  mutating func elements(of value: TemplateValue) throws(TokenizerError) -> [TemplateValue] {
    switch value {
    case .array(let array): return array.elements
    case .undefined: return []
    case .string(let string):
      try pay(building: string.utf8.count * Self.elementBytes)
      return string.unicodeScalars.map { .string(String($0)) }
    case .dictionary(let dictionary):
      try pay(building: dictionary.members.count * Self.elementBytes)
      return dictionary.members.map(\.key)
    case .range(let range):
      try pay(building: range.count * Self.elementBytes)
      return range.elements
    case .view(let view):
      try pay(building: view.dictionary.members.count * Self.elementBytes * 4)
      return view.elements
    case .iterator(let iterator):
      var elements: [TemplateValue] = []
      while let element = try iterator.next(&self) {
        try pay(building: Self.elementBytes)
        elements.append(element)
      }
      return elements
    default: throw failure("\(value.kind) cannot be gone through")
    }
  }

  mutating func iterator(over value: TemplateValue) throws(TokenizerError) -> TemplateIterator {
    if case .iterator(let iterator) = value { return iterator }
    return TemplateIterator(try elements(of: value), depth: value.depth)
  }
}
