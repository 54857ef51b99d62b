import JSON

/// Statements.
extension TemplateParser {
  /// Parses a statement up to the end of its last block, which is not stepped over.
  mutating func statement() throws(TokenizerError) -> [TemplateStatement] {
    let line = token.line
    let name = try expectName()
    switch name {
    case "if": return [try conditional()]
    case "for": return [try loop()]
    case "set": return [try assignment(line)]
    case "with": return [try with()]
    case "macro": return [try macro()]
    case "call": return [try call(line)]
    case "filter":
      let filter = try filters(TemplateExpression(kind: .rendered, line: line, depth: 1), line)
      return [.filtered(filter, try body(until: ["endfilter"]).block)]
    case "generation": return [try generation()]
    case "print": return try printing()
    case "break", "continue":
      guard openLoops > 0 else { throw failure("\"\(name)\" outside of a loop", line: line) }
      return [name == "break" ? .breakLoop : .continueLoop]
    case "block", "extends", "include", "import", "from", "autoescape":
      throw failure("the statement \"\(name)\" is not supported", line: line)
    default: throw failure("the statement \"\(name)\" is not supported here", line: line)
    }
  }

  /// Runs `parse` where loops outside cannot be left, as in the body of a macro.
  private mutating func isolated<Value>(
    _ parse: (inout TemplateParser) throws(TokenizerError) -> Value
  ) throws(TokenizerError) -> Value {
    let (outerLoops, outerConditional) = (openLoops, isConditional)
    openLoops = 0
    isConditional = false
    defer { (openLoops, isConditional) = (outerLoops, outerConditional) }
    return try parse(&self)
  }

  private mutating func conditional() throws(TokenizerError) -> TemplateStatement {
    let outer = isConditional
    isConditional = true
    defer { isConditional = outer }
    var branches: [TemplateBranch] = []
    while true {
      let condition = try tuple(withCondition: false)
      let (body, end) = try body(until: ["elif", "else", "endif"])
      branches.append(TemplateBranch(condition: condition, body: body))
      if end == "elif" { continue }
      guard end == "else" else { return .conditional(branches, else: TemplateBlock()) }
      return .conditional(branches, else: try self.body(until: ["endif"]).block)
    }
  }

  private mutating func loop() throws(TokenizerError) -> TemplateStatement {
    let target = try target()
    guard take(word: "in") else {
      throw failure("\"in\" was expected, not \(description(token))")
    }
    // Without the conditional expression: `if` begins the loop's filter.
    let sequence = try tuple(withCondition: false)
    let (outerLoops, outerConditional) = (openLoops, isConditional)
    isConditional = false
    defer { (openLoops, isConditional) = (outerLoops, outerConditional) }
    let condition = take(word: "if") ? try expression() : nil
    let isRecursive = take(word: "recursive")
    openLoops = isRecursive ? 1 : openLoops + 1
    let (body, end) = try body(until: ["else", "endfor"])
    openLoops = isRecursive ? 0 : outerLoops
    return .loop(
      TemplateLoop(
        target: target,
        sequence: sequence,
        condition: condition,
        isRecursive: isRecursive,
        body: body,
        otherwise: end == "else" ? try self.body(until: ["endfor"]).block : nil
      )
    )
  }

  private mutating func assignment(_ line: Int) throws(TokenizerError) -> TemplateStatement {
    let target = try target(withMembers: true)
    if take(symbol: "=") { return .set(target, try tuple(), line: line) }
    var filter: TemplateExpression?
    if isAt(symbol: "|") {
      advance()
      filter = try filters(TemplateExpression(kind: .rendered, line: line, depth: 1), line)
    }
    let outer = isConditional
    isConditional = false
    defer { isConditional = outer }
    return .capture(target, filter: filter, try body(until: ["endset"]).block, line: line)
  }

  private mutating func with() throws(TokenizerError) -> TemplateStatement {
    var variables: [(target: TemplateTarget, value: TemplateExpression)] = []
    while token.kind != .blockEnd, !isAt(symbol: ":") {
      if !variables.isEmpty { try expect(symbol: ",") }
      let target = try target()
      try expect(symbol: "=")
      variables.append((target, try expression()))
    }
    let outer = isConditional
    isConditional = false
    defer { isConditional = outer }
    return .with(variables, try body(until: ["endwith"]).block)
  }

  private mutating func printing() throws(TokenizerError) -> [TemplateStatement] {
    var outputs: [TemplateStatement] = []
    while token.kind != .blockEnd {
      if !outputs.isEmpty { try expect(symbol: ",") }
      outputs.append(.output(try expression()))
    }
    return outputs
  }

  private mutating func generation() throws(TokenizerError) -> TemplateStatement {
    try isolated { (parser) throws(TokenizerError) in
      .generation(try parser.body(until: ["endgeneration"]).block)
    }
  }

  // MARK: Macros

  private mutating func macro() throws(TokenizerError) -> TemplateStatement {
    let name = try assignableName()
    return .macro(
      try definition(name: name, hasSignature: true, end: "endmacro") {
        (_) throws(TokenizerError) in
      }
    )
  }

  private mutating func call(_ line: Int) throws(TokenizerError) -> TemplateStatement {
    var called: (TemplateExpression, TemplateCallArguments)?
    let hasSignature = isAt(symbol: "(")
    let definition = try definition(name: nil, hasSignature: hasSignature, end: "endcall") {
      (parser) throws(TokenizerError) in
      guard case .call(let function, let arguments) = try parser.expression().kind else {
        throw parser.failure("a call was expected", line: line)
      }
      called = (function, arguments)
    }
    guard let called else { throw failure("a call was expected", line: line) }
    return .call(called.0, called.1, caller: definition, line: line)
  }

  /// Parses a signature, what stands between it and the body, and the body.
  private mutating func definition(
    name: String?,
    hasSignature: Bool,
    end: String,
    head: (inout TemplateParser) throws(TokenizerError) -> Void
  ) throws(TokenizerError) -> TemplateMacroDefinition {
    var definition = TemplateMacroDefinition(name: name)
    if hasSignature { definition.parameters = try signature() }
    try head(&self)
    macroUses.append([])
    definition.body = try isolated { (parser) throws(TokenizerError) in
      try parser.body(until: [end]).block
    }
    definition.uses = macroUses.removeLast()
    for parameter in definition.parameters {
      if parameter.name == "caller", parameter.value == nil, definition.uses.contains("caller") {
        throw failure("the parameter \"caller\" must have a default")
      }
    }
    return definition
  }

  private mutating func signature() throws(TokenizerError) -> [(
    name: String, value: TemplateExpression?
  )] {
    try expect(symbol: "(")
    var parameters: [(name: String, value: TemplateExpression?)] = []
    while !isAt(symbol: ")") {
      if !parameters.isEmpty { try expect(symbol: ",") }
      let name = try assignableName()
      if take(symbol: "=") {
        parameters.append((name, try expression()))
      } else if let last = parameters.last, last.value != nil {
        throw failure("a parameter without default follows one with a default")
      } else {
        parameters.append((name, nil))
      }
      guard parameters.count <= TemplateLimits.argumentsMax else {
        throw failure("a macro has more than \(TemplateLimits.argumentsMax) parameters")
      }
      guard parameters.dropLast().allSatisfy({ !$0.name.isSame(name) }) else {
        throw failure("two parameters are named \"\(name.excerpt(40))\"")
      }
    }
    advance()
    return parameters
  }

  // MARK: Targets

  private static let constants: Set<String> = ["true", "false", "none", "True", "False", "None"]

  private mutating func assignableName() throws(TokenizerError) -> String {
    let name = try expectName()
    if Self.constants.contains(name) { throw failure("cannot assign to \"\(name)\"") }
    return name
  }

  /// What is assigned to; several names without brackets are a tuple.
  private mutating func target(
    withMembers: Bool = false
  ) throws(TokenizerError) -> TemplateTarget {
    var targets: [TemplateTarget] = []
    var isTuple = false
    while true {
      if !targets.isEmpty { try expect(symbol: ",") }
      if isTupleEnd() { break }
      targets.append(try simpleTarget(withMembers: withMembers))
      guard isAt(symbol: ",") else { break }
      isTuple = true
    }
    if !isTuple {
      guard let only = targets.first else {
        throw failure("a name was expected, not \(description(token))")
      }
      return only
    }
    return .tuple(targets)
  }

  private mutating func simpleTarget(withMembers: Bool) throws(TokenizerError) -> TemplateTarget {
    if isAt(symbol: "(") {
      expressionNesting += 1
      defer { expressionNesting -= 1 }
      guard expressionNesting <= TemplateLimits.bracketDepthMax else {
        throw failure("brackets are nested too deeply")
      }
      advance()
      if take(symbol: ")") { return .tuple([]) }
      let inner = try target()
      try expect(symbol: ")")
      return inner
    }
    let line = token.line
    let name = try expectName()
    if withMembers, take(symbol: ".") { return .member(name, try expectName()) }
    if Self.constants.contains(name) {
      throw failure("cannot assign to \"\(name)\"", line: line)
    }
    return .name(name)
  }

  func isTupleEnd() -> Bool {
    switch token.kind {
    case .outputEnd, .blockEnd, .symbol(")"): true
    default: false
    }
  }
}
