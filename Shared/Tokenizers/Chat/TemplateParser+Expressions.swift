import JSON

/// Expressions, by precedence from weak to strong as in Jinja: conditional, or, and, not,
/// comparison, + -, ~, * / // %, **, sign, member and call, filter and test.
extension TemplateParser {
  typealias Expression = TemplateExpression

  mutating func expression(withCondition: Bool = true) throws(TokenizerError) -> Expression {
    try enterNesting()
    defer { expressionNesting -= 1 }
    guard withCondition else { return try disjunction() }
    let unknownsBefore = unknowns.count
    let value = try disjunction()
    guard isAt(word: "if") else { return value }
    let result = try conditional(value)
    // What stands around an `if` may never be reached.
    unknowns.removeLast(unknowns.count - unknownsBefore)
    return result
  }

  private mutating func conditional(_ first: Expression) throws(TokenizerError) -> Expression {
    var value = first
    while isAt(word: "if") {
      let line = token.line
      advance()
      let condition = try disjunction()
      let otherwise = take(word: "else") ? try expression() : nil
      value = try make(
        .conditional(condition, then: value, else: otherwise),
        line,
        [value, condition] + [otherwise].compactMap { $0 }
      )
    }
    return value
  }

  /// One expression, or a tuple of several with commas between them.
  mutating func tuple(
    withCondition: Bool = true,
    inBrackets: Bool = false
  ) throws(TokenizerError) -> Expression {
    let line = token.line
    var parts: [Expression] = []
    var isTuple = false
    while true {
      if !parts.isEmpty { try expect(symbol: ",") }
      if isTupleEnd() { break }
      parts.append(try expression(withCondition: withCondition))
      guard isAt(symbol: ",") else { break }
      isTuple = true
    }
    if !isTuple {
      if let only = parts.first { return only }
      guard inBrackets else {
        throw failure("an expression was expected, not \(description(token))")
      }
    }
    return try make(.array(parts, .tuple), line, parts)
  }

  private mutating func disjunction() throws(TokenizerError) -> Expression {
    var left = try conjunction()
    while take(word: "or") {
      let right = try conjunction()
      left = try make(.or(left, right), left.line, [left, right])
    }
    return left
  }

  private mutating func enterNesting() throws(TokenizerError) {
    expressionNesting += 1
    guard expressionNesting <= TemplateLimits.bracketDepthMax else {
      throw failure("brackets are nested deeper than \(TemplateLimits.bracketDepthMax)")
    }
  }

  private func tooDeep(_ line: Int) -> TokenizerError {
    failure("an expression is deeper than \(TemplateLimits.expressionDepthMax)", line: line)
  }

  /// Makes an expression of `parts`, bounding its depth: it is walked by recursion.
  private func make(
    _ kind: Expression.Kind,
    _ line: Int,
    _ parts: [Expression] = []
  ) throws(TokenizerError) -> Expression {
    let depth = parts.reduce(0) { max($0, $1.depth) } + 1
    guard depth <= TemplateLimits.expressionDepthMax else { throw tooDeep(line) }
    return Expression(kind: kind, line: line, depth: depth)
  }

  private mutating func conjunction() throws(TokenizerError) -> Expression {
    var left = try negation()
    while take(word: "and") {
      let right = try negation()
      left = try make(.and(left, right), left.line, [left, right])
    }
    return left
  }

  private mutating func negation() throws(TokenizerError) -> Expression {
    let line = token.line
    guard take(word: "not") else { return try comparison() }
    try enterNesting()
    defer { expressionNesting -= 1 }
    let operand = try negation()
    return try make(.not(operand), line, [operand])
  }

  private mutating func comparison() throws(TokenizerError) -> Expression {
    let left = try sum()
    var others: [(Expression.Comparison, Expression)] = []
    while let comparison = takeComparison() { others.append((comparison, try sum())) }
    if others.isEmpty { return left }
    return try make(.comparison(left, others), left.line, [left] + others.map { $0.1 })
  }

  private mutating func takeComparison() -> Expression.Comparison? {
    switch token.kind {
    case .symbol(let symbol):
      guard let comparison = Expression.Comparison(rawValue: symbol) else { return nil }
      advance()
      return comparison
    case .name("in"):
      advance()
      return .isIn
    case .name("not"):
      guard case .name("in") = next.kind else { return nil }
      advance()
      advance()
      return .isNotIn
    default: return nil
    }
  }

  private mutating func sum() throws(TokenizerError) -> Expression {
    var left = try concatenation()
    while let operation = takeOperation([.add, .subtract]) {
      let right = try concatenation()
      left = try make(.arithmetic(operation, left, right), left.line, [left, right])
    }
    return left
  }

  private mutating func takeOperation(
    _ operations: [Expression.Arithmetic]
  ) -> Expression.Arithmetic? {
    guard case .symbol(let symbol) = token.kind,
      let operation = Expression.Arithmetic(rawValue: symbol), operations.contains(operation)
    else { return nil }
    advance()
    return operation
  }

  private mutating func concatenation() throws(TokenizerError) -> Expression {
    var parts = [try product()]
    while take(symbol: "~") { parts.append(try product()) }
    return parts.count == 1 ? parts[0] : try make(.concatenation(parts), parts[0].line, parts)
  }

  private mutating func product() throws(TokenizerError) -> Expression {
    var left = try power()
    while let operation = takeOperation([.multiply, .divide, .floorDivide, .modulo]) {
      let right = try power()
      left = try make(.arithmetic(operation, left, right), left.line, [left, right])
    }
    return left
  }

  /// Jinja's powers associate to the left, other than Python's.
  private mutating func power() throws(TokenizerError) -> Expression {
    var left = try signed()
    while let operation = takeOperation([.power]) {
      let right = try signed()
      left = try make(.arithmetic(operation, left, right), left.line, [left, right])
    }
    return left
  }

  private mutating func signed(withFilters: Bool = true) throws(TokenizerError) -> Expression {
    let line = token.line
    var value: Expression
    if isAt(symbol: "-") || isAt(symbol: "+") {
      let isNegative = isAt(symbol: "-")
      advance()
      try enterNesting()
      defer { expressionNesting -= 1 }
      let operand = try signed(withFilters: false)
      value = try make(isNegative ? .negative(operand) : .positive(operand), line, [operand])
    } else {
      value = try primary()
    }
    value = try postfix(value)
    guard withFilters else { return value }
    while true {
      if take(symbol: "|") {
        value = try filters(value, line)
      } else if take(word: "is") {
        value = try test(value)
      } else if isAt(symbol: "(") {
        value = try call(value)
      } else {
        return value
      }
    }
  }

  private mutating func primary() throws(TokenizerError) -> Expression {
    let line = token.line
    switch token.kind {
    case .name(let name):
      advance()
      switch name {
      case "true", "True": return try make(.literal(.bool(true)), line)
      case "false", "False": return try make(.literal(.bool(false)), line)
      case "none", "None": return try make(.literal(.none), line)
      case "caller", "varargs", "kwargs":
        for index in macroUses.indices { macroUses[index].insert(name) }
        return try make(.name(name), line)
      default: return try make(.name(name), line)
      }
    case .string(var text):
      advance()
      while case .string(let more) = token.kind {
        text += more
        advance()
      }
      return try make(.literal(.string(text)), line)
    case .integer(let integer):
      advance()
      return try make(.literal(.integer(integer)), line)
    case .number(let number):
      advance()
      return try make(.literal(.number(number)), line)
    case .symbol("("):
      advance()
      let value = try tuple(inBrackets: true)
      try expect(symbol: ")")
      return value
    case .symbol("["): return try array()
    case .symbol("{"): return try dictionary()
    default: throw failure("a value was expected, not \(description(token))")
    }
  }

  private mutating func array() throws(TokenizerError) -> Expression {
    let line = token.line
    advance()
    var elements: [Expression] = []
    while !isAt(symbol: "]") {
      if !elements.isEmpty {
        try expect(symbol: ",")
        if isAt(symbol: "]") { break }
      }
      elements.append(try expression())
    }
    advance()
    return try make(.array(elements, .list), line, elements)
  }

  private mutating func dictionary() throws(TokenizerError) -> Expression {
    let line = token.line
    advance()
    var members: [(key: Expression, value: Expression)] = []
    while !isAt(symbol: "}") {
      if !members.isEmpty {
        try expect(symbol: ",")
        if isAt(symbol: "}") { break }
      }
      let key = try expression()
      try expect(symbol: ":")
      members.append((key, try expression()))
    }
    advance()
    return try make(.dictionary(members), line, members.flatMap { [$0.key, $0.value] })
  }

  private mutating func postfix(_ base: Expression) throws(TokenizerError) -> Expression {
    var value = base
    while true {
      let line = token.line
      if take(symbol: ".") {
        if case .integer(let index) = token.kind {
          advance()
          let key = try make(.literal(.integer(index)), line)
          value = try make(.index(value, key), line, [value, key])
        } else {
          value = try make(.attribute(value, try expectName()), line, [value])
        }
      } else if take(symbol: "[") {
        value = try subscripted(value, line)
      } else if isAt(symbol: "(") {
        value = try call(value)
      } else {
        return value
      }
    }
  }

  private mutating func call(_ function: Expression) throws(TokenizerError) -> Expression {
    let line = token.line
    let arguments = try arguments()
    return try make(.call(function, arguments), line, [function] + arguments.parts)
  }

  private mutating func subscripted(
    _ base: Expression,
    _ line: Int
  ) throws(TokenizerError) -> Expression {
    var keys: [Expression] = []
    var slice: TemplateSlice?
    var count = 0
    while !isAt(symbol: "]") {
      if count > 0 { try expect(symbol: ",") }
      count += 1
      if isAt(symbol: ":") {
        slice = try self.slice(from: nil)
      } else {
        let key = try expression()
        if isAt(symbol: ":") { slice = try self.slice(from: key) } else { keys.append(key) }
      }
    }
    advance()
    if let slice {
      guard count == 1 else { throw failure("slices in several dimensions are not supported") }
      return try make(.slice(base, slice), line, [base] + slice.parts)
    }
    if count == 1 { return try make(.index(base, keys[0]), line, [base, keys[0]]) }
    let key = try make(.array(keys, .tuple), line, keys)
    return try make(.index(base, key), line, [base, key])
  }

  private mutating func slice(from: Expression?) throws(TokenizerError) -> TemplateSlice {
    advance()
    var slice = TemplateSlice(from: from)
    func isEnd() -> Bool { isAt(symbol: "]") || isAt(symbol: ",") }
    if !isAt(symbol: ":"), !isEnd() { slice.to = try expression() }
    if take(symbol: ":"), !isEnd() { slice.step = try expression() }
    return slice
  }

  private mutating func arguments() throws(TokenizerError) -> TemplateCallArguments {
    let line = token.line
    try expect(symbol: "(")
    var arguments = TemplateCallArguments()
    func check(_ isValid: Bool) throws(TokenizerError) {
      guard isValid else { throw failure("the arguments of a call are not valid", line: line) }
    }
    var isFirst = true
    while !isAt(symbol: ")") {
      if !isFirst {
        try expect(symbol: ",")
        if isAt(symbol: ")") { break }
      }
      isFirst = false
      if take(symbol: "*") {
        try check(arguments.rest == nil && arguments.namedRest == nil)
        arguments.rest = try expression()
      } else if take(symbol: "**") {
        try check(arguments.namedRest == nil)
        arguments.namedRest = try expression()
      } else if case .name(let name) = token.kind, next.kind == .symbol("=") {
        try check(arguments.named.count < TemplateLimits.argumentsMax)
        try check(arguments.namedRest == nil && !arguments.named.contains { $0.name.isSame(name) })
        advance()
        advance()
        arguments.named.append((name, try expression()))
      } else {
        try check(
          arguments.rest == nil && arguments.namedRest == nil && arguments.named.isEmpty
        )
        arguments.positional.append(try expression())
      }
    }
    advance()
    return arguments
  }

  /// Filters one after the other; the `|` before the first is stepped over.
  mutating func filters(_ base: Expression, _ line: Int) throws(TokenizerError) -> Expression {
    var value = base
    repeat {
      let line = token.line
      let name = try dottedName()
      let arguments = isAt(symbol: "(") ? try arguments() : TemplateCallArguments()
      let parts = [value] + arguments.parts
      if let filter = TemplateFilter(rawValue: name) {
        value = try make(.filter(value, filter, arguments), line, parts)
      } else {
        value = try unknown("the filter \"\(name.excerpt(40))\" is not supported", line, parts)
      }
    } while take(symbol: "|")
    return value
  }

  private mutating func dottedName() throws(TokenizerError) -> String {
    var name = try expectName()
    while take(symbol: ".") { name += "." + (try expectName()) }
    return name
  }

  private mutating func unknown(
    _ cause: String,
    _ line: Int,
    _ parts: [Expression]
  ) throws(TokenizerError) -> Expression {
    if !isConditional { unknowns.append(failure(cause, line: line)) }
    return try make(.unknown(cause), line, parts)
  }

  private mutating func test(_ value: Expression) throws(TokenizerError) -> Expression {
    let line = token.line
    let isNegated = take(word: "not")
    let name = try dottedName()
    var arguments = TemplateCallArguments()
    switch token.kind {
    case .symbol("("): arguments = try self.arguments()
    case .name("else"), .name("or"), .name("and"): break
    case .name("is"): throw failure("tests cannot be chained with \"is\"")
    case .name, .string, .integer, .number, .symbol("["), .symbol("{"):
      try enterNesting()
      defer { expressionNesting -= 1 }
      arguments.positional = [try postfix(try primary())]
    default: break
    }
    let parts = [value] + arguments.parts
    let result: Expression
    if let test = TemplateTest(rawValue: name) {
      result = try make(.test(value, test, arguments), line, parts)
    } else {
      result = try unknown("the test \"\(name.excerpt(40))\" is not supported", line, parts)
    }
    return isNegated ? try make(.not(result), line, [result]) : result
  }
}
