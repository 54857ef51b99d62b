import JSON

/// Parses a template into statements as Jinja does; statements are in
/// `TemplateParser+Statements.swift`, expressions in `TemplateParser+Expressions.swift`.
struct TemplateParser {
  private(set) var tokens: [TemplateLexer.Token]
  private(set) var position = 0
  /// Open brackets and operators on the way to the current token, to bound recursion.
  var expressionNesting = 0
  /// Loops around the current statement that `break` may leave.
  var openLoops = 0
  /// How many blocks are open.
  var blockDepth = 0
  /// Whether the current code may never be reached: unknown filters are errors only when reached.
  var isConditional = false
  /// What is not known where it would be reached.
  var unknowns: [TokenizerError] = []
  /// For each macro around the current token, what special names its body has read.
  var macroUses: [Set<String>] = []

  static func parse(_ template: String) throws(TokenizerError) -> TemplateBlock {
    var parser = TemplateParser(tokens: try TemplateLexer.tokens(of: template))
    var (block, _) = try parser.statements(until: [])
    if let first = parser.unknowns.first { throw first }
    TemplateNames.resolve(&block)
    return block
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
  mutating func take(word: String) -> Bool { take(.name(word)) }
  func isAt(symbol: String) -> Bool { token.kind == .symbol(symbol) }
  func isAt(word: String) -> Bool { token.kind == .name(word) }

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
    case .name(let name): "\"\(name.excerpt(40))\""
    case .string: "a string"
    case .integer, .number: "a number"
    case .symbol(let symbol): "\"\(symbol)\""
    case .end: "the end"
    }
  }

  mutating func endBlock() throws(TokenizerError) {
    guard take(.blockEnd) else {
      throw failure("\"%}\" was expected, not \(description(token))")
    }
  }

  /// The body of a block: statements after its head up to one of `ends`, whose name is stepped
  /// over.
  mutating func body(
    until ends: [String]
  ) throws(TokenizerError) -> (block: TemplateBlock, end: String) {
    _ = take(symbol: ":")
    try endBlock()
    blockDepth += 1
    defer { blockDepth -= 1 }
    guard blockDepth <= TemplateLimits.blockDepthMax else {
      throw failure("blocks are nested deeper than \(TemplateLimits.blockDepthMax)")
    }
    return try statements(until: ends)
  }

  private mutating func statements(
    until ends: [String]
  ) throws(TokenizerError) -> (block: TemplateBlock, end: String) {
    var block = TemplateBlock()
    let line = token.line
    while true {
      switch token.kind {
      case .text(let text):
        advance()
        block.statements.append(.text(text))
      case .outputBegin:
        advance()
        let value = try tuple()
        guard take(.outputEnd) else {
          throw failure("\"}}\" was expected, not \(description(token))")
        }
        block.statements.append(.output(value))
      case .blockBegin:
        advance()
        if case .name(let name) = token.kind, ends.contains(name) {
          advance()
          return (block, name)
        }
        block.statements += try statement()
        try endBlock()
      case .end:
        guard ends.isEmpty else {
          throw failure("the block before has no \"\(ends.last ?? "")\"", line: line)
        }
        return (block, "")
      default: throw failure("\(description(token)) was not expected")
      }
    }
  }
}
