/// Parses a template into statements; expressions are in `TemplateParser+Expressions.swift`.
struct TemplateParser {
  private(set) var tokens: [TemplateLexer.Token]
  private(set) var position = 0
  /// Open brackets and operators on the way to the current token, to bound recursion.
  var expressionNesting = 0

  static func parse(_ template: String) throws(TokenizerError) -> [TemplateStatement] {
    var parser = TemplateParser(tokens: try TemplateLexer.tokens(of: template))
    let (statements, _) = try parser.body(until: [], depth: 0)
    return statements
  }

  private init(tokens: [TemplateLexer.Token]) { self.tokens = tokens }

  var token: TemplateLexer.Token { tokens[min(position, tokens.count - 1)] }
  var next: TemplateLexer.Token { tokens[min(position + 1, tokens.count - 1)] }

  mutating func advance() { position += 1 }

  func failure(_ what: String, line: Int? = nil) -> TokenizerError {
    TokenizerError(.template, "chat template, line \(line ?? token.line): \(what)")
  }

  /// Steps over `kind` if it is next.
  mutating func take(_ kind: TemplateLexer.Token.Kind) -> Bool {
    guard token.kind == kind else { return false }
    advance()
    return true
  }

  mutating func take(symbol: String) -> Bool { take(.symbol(symbol)) }

  mutating func expect(symbol: String) throws(TokenizerError) {
    guard take(symbol: symbol) else {
      throw failure("\"\(symbol)\" was expected, not \(description(token))")
    }
  }

  mutating func expectName() throws(TokenizerError) -> String {
    guard case .name(let name) = token.kind else {
      throw failure("a name was expected, not \(description(token))")
    }
    advance()
    return name
  }

  func description(_ token: TemplateLexer.Token) -> String {
    switch token.kind {
    case .text: "text"
    case .outputBegin: "\"{{\""
    case .outputEnd: "\"}}\""
    case .blockBegin: "\"{%\""
    case .blockEnd: "\"%}\""
    case .name(let name): "\"\(name)\""
    case .string: "a string"
    case .integer, .number: "a number"
    case .symbol(let symbol): "\"\(symbol)\""
    case .end: "the end"
    }
  }

  private mutating func endBlock() throws(TokenizerError) {
    guard take(.blockEnd) else {
      throw failure("\"%}\" was expected, not \(description(token))")
    }
  }

  /// Statements up to a block that begins with one of `ends`, whose name is stepped over.
  private mutating func body(
    until ends: [String],
    depth: Int
  ) throws(TokenizerError) -> (statements: [TemplateStatement], end: String) {
    guard depth <= TemplateLimits.blockDepthMax else {
      throw failure("blocks are nested deeper than \(TemplateLimits.blockDepthMax)")
    }
    var statements: [TemplateStatement] = []
    let line = token.line
    while true {
      switch token.kind {
      case .text(let text):
        advance()
        statements.append(.text(text))
      case .outputBegin:
        advance()
        let value = try expression()
        guard take(.outputEnd) else {
          throw failure("\"}}\" was expected, not \(description(token))")
        }
        statements.append(.output(value))
      case .blockBegin:
        advance()
        let name = try expectName()
        if ends.contains(name) { return (statements, name) }
        statements.append(try statement(name, depth: depth))
      case .end:
        guard ends.isEmpty else {
          throw failure("the block before has no \"\(ends.last ?? "")\"", line: line)
        }
        return (statements, "")
      default: throw failure("\(description(token)) was not expected")
      }
    }
  }

  private mutating func statement(
    _ name: String,
    depth: Int
  ) throws(TokenizerError) -> TemplateStatement {
    switch name {
    case "if": return try conditional(depth: depth)
    case "for": return try loop(depth: depth)
    case "set": return try assignment(depth: depth)
    default:
      throw failure(
        "the statement \"\(name)\" is not supported here",
        line: tokens[position - 1].line
      )
    }
  }

  private mutating func conditional(depth: Int) throws(TokenizerError) -> TemplateStatement {
    var branches: [(condition: TemplateExpression, body: [TemplateStatement])] = []
    while true {
      let condition = try expression()
      try endBlock()
      let (body, end) = try body(until: ["elif", "else", "endif"], depth: depth + 1)
      branches.append((condition, body))
      if end == "elif" { continue }
      try endBlock()
      guard end == "else" else { return .conditional(branches, else: []) }
      let (otherwise, _) = try self.body(until: ["endif"], depth: depth + 1)
      try endBlock()
      return .conditional(branches, else: otherwise)
    }
  }

  private mutating func loop(depth: Int) throws(TokenizerError) -> TemplateStatement {
    var targets = [try expectName()]
    while take(symbol: ",") { targets.append(try expectName()) }
    guard take(.name("in")) else {
      throw failure("\"in\" was expected, not \(description(token))")
    }
    // Without the conditional expression: `if` begins the loop's filter.
    let sequence = try expressionWithoutCondition()
    let condition = take(.name("if")) ? try expression() : nil
    try endBlock()
    let (body, end) = try body(until: ["else", "endfor"], depth: depth + 1)
    try endBlock()
    var loop = TemplateLoop(
      targets: targets,
      sequence: sequence,
      condition: condition,
      body: body,
      otherwise: []
    )
    if end == "else" {
      (loop.otherwise, _) = try self.body(until: ["endfor"], depth: depth + 1)
      try endBlock()
    }
    return .loop(loop)
  }

  private mutating func assignment(depth: Int) throws(TokenizerError) -> TemplateStatement {
    let line = token.line
    let name = try expectName()
    if take(symbol: ".") {
      let member = try expectName()
      try expect(symbol: "=")
      let value = try expression()
      try endBlock()
      return .setMember(namespace: name, name: member, value)
    }
    if take(symbol: "=") {
      let value = try expression()
      try endBlock()
      return .set(name: name, value)
    }
    try endBlock()
    let (body, _) = try body(until: ["endset"], depth: depth + 1)
    try endBlock()
    return .capture(name: name, body, line: line)
  }
}
