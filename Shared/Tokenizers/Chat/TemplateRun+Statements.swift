import JSON

/// Running statements.
extension TemplateRun {
  /// How a block ends.
  enum Flow { case normal, breakLoop, continueLoop }

  mutating func run(_ block: TemplateBlock) throws(TokenizerError) -> Flow {
    try enter()
    defer { leave() }
    for statement in block.statements {
      try pay(work: TemplateLimits.stepWork)
      let flow = try run(statement)
      if flow != .normal { return flow }
    }
    return .normal
  }

  private mutating func run(_ statement: TemplateStatement) throws(TokenizerError) -> Flow {
    switch statement {
    case .text(let text): try write(text)
    case .output(let expression): try output(try evaluate(expression))
    case .conditional(let branches, let otherwise):
      for branch in branches where try evaluate(branch.condition).isTrue {
        return try run(branch.body)
      }
      return try run(otherwise)
    case .loop(let loop):
      return try run(loop, over: try evaluate(loop.sequence), depth0: 0)
    case .set(let target, let expression, let line):
      let value = try evaluate(expression)
      self.line = line
      try assign(value, to: target)
    case .capture(let target, let filter, let body, let line):
      return try capture(target, filter, body, line)
    case .filtered(let filter, let body):
      let scope = TemplateScope(parent: scope, hidden: body.hidden)
      let (text, flow) = try capture { (run) throws(TokenizerError) in
        try run.scoped(scope) { (run) throws(TokenizerError) in try run.run(body) }
      }
      guard flow == .normal else { return flow }
      let value = try scoped(scope) { (run) throws(TokenizerError) in
        try run.evaluate(filter, rendered: text)
      }
      try output(rendered: value)
    case .with(let variables, let body):
      let scope = TemplateScope(parent: scope, hidden: body.hidden)
      for variable in variables {
        let value = try evaluate(variable.value)
        try assign(value, to: variable.target, in: scope)
      }
      return try scoped(scope) { (run) throws(TokenizerError) in try run.run(body) }
    case .macro(let definition):
      guard let name = definition.name else { break }
      try assign(try macro(definition), to: .name(name))
    case .call(let function, let arguments, let caller, let line):
      try call(function, arguments, caller, line)
    case .generation(let body): try generation(body)
    case .breakLoop: return .breakLoop
    case .continueLoop: return .continueLoop
    }
    return .normal
  }

  private mutating func output(_ value: TemplateValue) throws(TokenizerError) {
    if case .string(let text) = value {
      try write(text)
    } else {
      try write(try text(of: value))
    }
  }

  /// Writes what a `call` or `filter` block gives, which Jinja does not make text of.
  private mutating func output(rendered value: TemplateValue) throws(TokenizerError) {
    guard case .string(let text) = value else {
      throw failure("a block must give a string, gives \(value.kind)")
    }
    try write(text)
  }

  private mutating func evaluate(
    _ filter: TemplateExpression,
    rendered text: String
  ) throws(TokenizerError) -> TemplateValue {
    let outer = rendered
    rendered = text
    defer { rendered = outer }
    return try evaluate(filter)
  }

  /// Runs `body` and returns what it wrote instead of writing it.
  mutating func capture(
    _ body: (inout TemplateRun) throws(TokenizerError) -> Flow
  ) throws(TokenizerError) -> (text: String, flow: Flow) {
    let outer = output
    output = []
    captureDepth += 1
    defer {
      output = outer
      captureDepth -= 1
    }
    let flow = try body(&self)
    try pay(building: output.count)
    return (String(decoding: output, as: UTF8.self), flow)
  }

  private mutating func capture(
    _ target: TemplateTarget,
    _ filter: TemplateExpression?,
    _ body: TemplateBlock,
    _ line: Int
  ) throws(TokenizerError) -> Flow {
    let scope = TemplateScope(parent: scope, hidden: body.hidden)
    let (text, flow) = try capture { (run) throws(TokenizerError) in
      try run.scoped(scope) { (run) throws(TokenizerError) in try run.run(body) }
    }
    guard flow == .normal else { return flow }
    self.line = line
    var value = TemplateValue.string(text)
    if let filter {
      // What the filters read is seen from inside of the block.
      value = try scoped(scope) { (run) throws(TokenizerError) in
        try run.evaluate(filter, rendered: text)
      }
    }
    try assign(value, to: target)
    return .normal
  }

  /// Ranges are those that transformers reports: a block within a macro or another captured block
  /// is taken to begin where that is written to the output.
  private mutating func generation(_ body: TemplateBlock) throws(TokenizerError) {
    let scope = TemplateScope(parent: scope, hidden: body.hidden)
    let start = outputScalars
    let (text, _) = try capture { (run) throws(TokenizerError) in
      try run.scoped(scope) { (run) throws(TokenizerError) in try run.run(body) }
    }
    try pay(building: Self.elementBytes)
    generationRanges.append(start..<start + text.unicodeScalars.count)
    try write(text)
  }

  private mutating func call(
    _ function: TemplateExpression,
    _ arguments: TemplateCallArguments,
    _ caller: TemplateMacroDefinition,
    _ line: Int
  ) throws(TokenizerError) {
    let callee = try evaluate(function)
    var values = try evaluate(arguments)
    guard !values.named.contains(where: { $0.name == "caller" }) else {
      throw failure("a call statement cannot have an argument \"caller\"")
    }
    values.named.append(("caller", try macro(caller)))
    self.line = line
    try output(rendered: try call(callee, values))
  }

  private mutating func macro(
    _ definition: TemplateMacroDefinition
  ) throws(TokenizerError) -> TemplateValue {
    try remember(scope)
    return .function(.macro(TemplateMacro(definition, scope: scope)))
  }

  // MARK: Assignments

  private mutating func assign(
    _ value: TemplateValue,
    to target: TemplateTarget,
    in other: TemplateScope? = nil
  ) throws(TokenizerError) {
    switch target {
    case .name(let name): (other ?? scope).variables[name] = value
    case .member(let name, let member):
      guard case .namespace(let namespace) = variable(name) else {
        throw failure(
          "\"\(name.excerpt())\" is not a namespace; only its members can be set"
        )
      }
      try set(member, of: namespace, to: value)
    case .tuple(let targets):
      let elements = try elements(of: value)
      guard elements.count == targets.count else {
        throw failure(
          "\(elements.count) values cannot be unpacked to \(targets.count) names"
        )
      }
      for (target, element) in zip(targets, elements) {
        try assign(element, to: target, in: other)
      }
    }
  }

  mutating func set(
    _ member: String,
    of namespace: TemplateNamespace,
    to value: TemplateValue
  ) throws(TokenizerError) {
    guard member.utf8.first != UInt8(ascii: "_") else {
      throw failure("a namespace cannot have a member \"\(member.excerpt())\"")
    }
    try pay(work: namespace.members.count)
    namespace.set(member, value)
  }

  // MARK: Loops

  /// Runs a loop: the rounds that its condition lets through, one at a time as they are asked for.
  mutating func run(
    _ loop: TemplateLoop,
    over value: TemplateValue,
    depth0: Int
  ) throws(TokenizerError) -> Flow {
    // Such loops keep their scope, where they may in turn be kept.
    if loop.isRecursive || loop.condition != nil { try remember(scope) }
    var source = try iterator(over: value)
    var count = try self.count(of: value)
    if let condition = loop.condition {
      source = filtered(source, loop.target, condition)
      count = nil
    }
    let state = TemplateLoopState(
      source: source,
      count: count,
      depth0: depth0,
      recursion: loop.isRecursive ? (loop, scope) : nil
    )
    var isOtherwise = true
    while let element = try state.advance(&self) {
      try pay(work: TemplateLimits.stepWork)
      // Each round has its own scope: what it sets is gone in the next.
      let inner = TemplateScope(["loop": .loop(state)], parent: scope, hidden: loop.body.hidden)
      try assign(element, to: loop.target, in: inner)
      let flow = try scoped(inner) { (run) throws(TokenizerError) in try run.run(loop.body) }
      if flow == .breakLoop { break }
      // As in Jinja, rounds that are broken off or continued early do not count.
      if flow == .normal { isOtherwise = false }
    }
    guard isOtherwise, let otherwise = loop.otherwise else { return .normal }
    let inner = TemplateScope(parent: scope, hidden: otherwise.hidden)
    return try scoped(inner) { (run) throws(TokenizerError) in try run.run(otherwise) }
  }

  private func filtered(
    _ source: TemplateIterator,
    _ target: TemplateTarget,
    _ condition: TemplateExpression
  ) -> TemplateIterator {
    let outer = scope
    return TemplateIterator(depth: source.depth) {
      (run: inout TemplateRun) throws(TokenizerError) in
      while let element = try source.next(&run) {
        try run.pay(work: TemplateLimits.stepWork)
        let inner = TemplateScope(parent: outer)
        try run.assign(element, to: target, in: inner)
        let isKept = try run.scoped(inner) { (run) throws(TokenizerError) in
          try run.evaluate(condition).isTrue
        }
        if isKept { return element }
      }
      return nil
    }
  }
}
