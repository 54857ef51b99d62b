/// Expressions, by precedence from weak to strong as in Jinja: conditional, or, and, not,
/// comparison, + -, ~, * // %, sign, member and call, filter and test.
extension TemplateParser {
  typealias Expression = TemplateExpression

  mutating func expression() throws(TokenizerError) -> Expression {
    let value = try expressionWithoutCondition()
    guard case .name("if") = token.kind else { return value }
    let line = token.line
    advance()
    let condition = try expressionWithoutCondition()
    var otherwise: Expression?
    if take(.name("else")) {
      try enterNesting()
      otherwise = try expression()
      expressionNesting -= 1
    }
    return try make(
      .conditional(condition, then: value, else: otherwise),
      line,
      [value, condition] + [otherwise].compactMap { $0 }
    )
  }

  mutating func expressionWithoutCondition() throws(TokenizerError) -> Expression {
    try enterNesting()
    defer { expressionNesting -= 1 }
    var left = try conjunction()
    while take(.name("or")) {
      let right = try conjunction()
      left = try make(.or(left, right), left.line, [left, right])
    }
    return left
  }

  private mutating func enterNesting() throws(TokenizerError) {
    expressionNesting += 1
    guard expressionNesting <= TemplateLimits.expressionDepthMax else { throw tooDeep(token.line) }
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
    while take(.name("and")) {
      let right = try negation()
      left = try make(.and(left, right), left.line, [left, right])
    }
    return left
  }

  private mutating func negation() throws(TokenizerError) -> Expression {
    let line = token.line
    guard take(.name("not")) else { return try comparison() }
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
    while true {
      let operation: Expression.Arithmetic
      switch token.kind {
      case .symbol("+"): operation = .add
      case .symbol("-"): operation = .subtract
      default: return left
      }
      advance()
      let right = try concatenation()
      left = try make(.arithmetic(operation, left, right), left.line, [left, right])
    }
  }

  private mutating func concatenation() throws(TokenizerError) -> Expression {
    var parts = [try product()]
    while take(symbol: "~") { parts.append(try product()) }
    return parts.count == 1 ? parts[0] : try make(.concatenation(parts), parts[0].line, parts)
  }

  private mutating func product() throws(TokenizerError) -> Expression {
    var left = try signed()
    while true {
      let operation: Expression.Arithmetic
      switch token.kind {
      case .symbol("*"): operation = .multiply
      case .symbol("//"): operation = .floorDivide
      case .symbol("%"): operation = .modulo
      case .symbol("/"), .symbol("**"):
        throw failure("the operator \(description(token)) is not supported")
      default: return left
      }
      advance()
      let right = try signed()
      left = try make(.arithmetic(operation, left, right), left.line, [left, right])
    }
  }

  private mutating func signed(withFilters: Bool = true) throws(TokenizerError) -> Expression {
    let line = token.line
    var value: Expression
    if take(symbol: "-") {
      try enterNesting()
      defer { expressionNesting -= 1 }
      let operand = try signed(withFilters: false)
      value = try make(.negative(operand), line, [operand])
    } else {
      value = try postfix(try primary())
    }
    guard withFilters else { return value }
    while true {
      if take(symbol: "|") {
        value = try filter(value)
      } else if take(.name("is")) {
        value = try test(value)
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
      case "and", "or", "not", "in", "is", "if", "else":
        throw failure("\"\(name)\" was not expected", line: line)
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
      let value = try expression()
      if case .symbol(",") = token.kind { throw failure("tuples are not supported") }
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
    while !take(symbol: "]") {
      elements.append(try expression())
      if !take(symbol: ",") {
        try expect(symbol: "]")
        break
      }
    }
    return try make(.array(elements), line, elements)
  }

  private mutating func dictionary() throws(TokenizerError) -> Expression {
    let line = token.line
    advance()
    var members: [(key: Expression, value: Expression)] = []
    while !take(symbol: "}") {
      let key = try expression()
      try expect(symbol: ":")
      members.append((key, try expression()))
      if !take(symbol: ",") {
        try expect(symbol: "}")
        break
      }
    }
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
      } else if case .symbol("(") = token.kind {
        let arguments = try arguments()
        value = try make(.call(value, arguments), line, [value] + arguments.map(\.value))
      } else {
        return value
      }
    }
  }

  private mutating func subscripted(
    _ base: Expression,
    _ line: Int
  ) throws(TokenizerError) -> Expression {
    var from: Expression?
    if token.kind != .symbol(":") { from = try expression() }
    if let from, take(symbol: "]") { return try make(.index(base, from), line, [base, from]) }
    try expect(symbol: ":")
    let to = token.kind == .symbol("]") ? nil : try expression()
    guard token.kind != .symbol(":") else { throw failure("steps of slices are not supported") }
    try expect(symbol: "]")
    return try make(
      .slice(base, from: from, to: to),
      line,
      [base] + [from, to].compactMap { $0 }
    )
  }

  private mutating func arguments() throws(TokenizerError) -> [Expression.Argument] {
    try expect(symbol: "(")
    var arguments: [Expression.Argument] = []
    while !take(symbol: ")") {
      var name: String?
      if case .name(let word) = token.kind, next.kind == .symbol("=") {
        name = word
        advance()
        advance()
      }
      arguments.append(Expression.Argument(name: name, value: try expression()))
      if !take(symbol: ",") {
        try expect(symbol: ")")
        break
      }
    }
    return arguments
  }

  private mutating func filter(_ value: Expression) throws(TokenizerError) -> Expression {
    let line = token.line
    let name = try expectName()
    guard let filter = TemplateFilter(rawValue: name) else {
      throw failure("the filter \"\(name)\" is not supported", line: line)
    }
    let arguments = token.kind == .symbol("(") ? try arguments() : []
    return try make(.filter(value, filter, arguments), line, [value] + arguments.map(\.value))
  }

  private mutating func test(_ value: Expression) throws(TokenizerError) -> Expression {
    let line = token.line
    let isNegated = take(.name("not"))
    let name = try expectName()
    guard let test = TemplateTest(rawValue: name) else {
      throw failure("the test \"\(name)\" is not supported", line: line)
    }
    return try make(.test(value, test, isNegated: isNegated), line, [value])
  }
}
