/// One rendering of a template: variables, output and what it may still cost.
///
/// The language can reach nothing but its values, every operation pays for its work and for what
/// it builds before it does so, and recursion is bounded by the depth of blocks, expressions and
/// values. So a template, which comes from whoever made the model, can do no harm but fail.
struct TemplateRun {
  private struct Scope {
    var variables: [String: TemplateValue] = [:]
    var loop: Loop?
  }

  private struct Loop {
    var elements: [TemplateValue]
    var index: Int
  }

  private let budget: TemplateBudget
  private var scopes: [Scope]
  private var output: [UInt8] = []
  private var work = 0
  private var builtBytes = 0
  /// The line that is being run.
  var line = 1

  /// Renders `statements`.
  ///
  /// - Throws: `template` naming the line and the cause, `refusedByTemplate`, `limitExceeded`.
  static func render(
    _ statements: [TemplateStatement],
    _ variables: [String: TemplateValue],
    budget: TemplateBudget = TemplateBudget()
  ) throws(TokenizerError) -> String {
    var run = TemplateRun(scopes: [Scope(variables: variables)], budget: budget)
    try run.run(statements)
    return String(decoding: run.output, as: UTF8.self)
  }

  private init(scopes: [Scope], budget: TemplateBudget) {
    self.scopes = scopes
    self.budget = budget
  }

  // MARK: Costs and errors

  func failure(
    _ what: String,
    _ code: TokenizerError.Code = .template
  ) -> TokenizerError {
    TokenizerError(code, "chat template, line \(line): \(what)")
  }

  /// Pays for reading `units` bytes, or as much other work.
  mutating func pay(work units: Int) throws(TokenizerError) {
    work += units
    guard work <= budget.workMax else {
      throw failure("more work than \(budget.workMax) units", .limitExceeded)
    }
  }

  /// Pays for a string or list of `bytes` that is about to be built.
  mutating func pay(building bytes: Int) throws(TokenizerError) {
    guard bytes <= budget.builtBytesMax - builtBytes else {
      throw failure(
        "it builds values of more than \(budget.builtBytesMax) bytes",
        .limitExceeded
      )
    }
    builtBytes += bytes
    try pay(work: bytes)
  }

  private mutating func write(_ text: String) throws(TokenizerError) {
    guard text.utf8.count <= budget.outputBytesMax - output.count else {
      throw failure(
        "the prompt is longer than \(budget.outputBytesMax) bytes",
        .limitExceeded
      )
    }
    try pay(work: text.utf8.count)
    output.append(contentsOf: text.utf8)
  }

  // MARK: Variables

  func variable(_ name: String) -> TemplateValue {
    for scope in scopes.reversed() {
      if let value = scope.variables[name] { return value }
      if name == "loop", let loop = scope.loop { return Self.value(of: loop) }
    }
    return .undefined(name)
  }

  private static func value(of loop: Loop) -> TemplateValue {
    let (index, count) = (loop.index, loop.elements.count)
    let previous = index > 0 ? loop.elements[index - 1] : .undefined("loop.previtem")
    let next = index + 1 < count ? loop.elements[index + 1] : .undefined("loop.nextitem")
    return .dictionary(
      TemplateDictionary([
        ("index", .integer(index + 1)), ("index0", .integer(index)),
        ("first", .bool(index == 0)), ("last", .bool(index == count - 1)),
        ("length", .integer(count)), ("revindex", .integer(count - index)),
        ("revindex0", .integer(count - index - 1)), ("previtem", previous), ("nextitem", next),
      ])
    )
  }

  private mutating func set(_ name: String, _ value: TemplateValue) {
    scopes[scopes.count - 1].variables[name] = value
  }

  // MARK: Statements

  private mutating func run(_ statements: [TemplateStatement]) throws(TokenizerError) {
    for statement in statements {
      try pay(work: TemplateLimits.stepWork)
      switch statement {
      case .text(let text): try write(text)
      case .output(let expression):
        let value = try evaluate(expression)
        try write(try text(of: value))
      case .conditional(let branches, let otherwise): try run(branches, else: otherwise)
      case .loop(let loop): try run(loop)
      case .set(let name, let expression): set(name, try evaluate(expression))
      case .setMember(let namespace, let name, let expression):
        let value = try evaluate(expression)
        guard case .namespace(let target) = variable(namespace) else {
          throw failure("\"\(namespace)\" is not a namespace; only its members can be set")
        }
        if case .namespace = value { throw failure("a namespace cannot hold a namespace") }
        target.members[name] = value
      case .capture(let name, let body, let line):
        let outer = output
        output = []
        try run(body)
        self.line = line
        try pay(building: output.count)
        set(name, .string(String(decoding: output, as: UTF8.self)))
        output = outer
      }
    }
  }

  private mutating func run(
    _ branches: [(condition: TemplateExpression, body: [TemplateStatement])],
    else otherwise: [TemplateStatement]
  ) throws(TokenizerError) {
    for branch in branches where try evaluate(branch.condition).isTrue {
      try run(branch.body)
      return
    }
    try run(otherwise)
  }

  private mutating func run(_ loop: TemplateLoop) throws(TokenizerError) {
    var elements = try elements(of: try evaluate(loop.sequence))
    if let condition = loop.condition {
      var kept: [TemplateValue] = []
      for element in elements {
        try pay(work: TemplateLimits.stepWork)
        scopes.append(Scope(variables: try bind(loop.targets, to: element)))
        if try evaluate(condition).isTrue { kept.append(element) }
        scopes.removeLast()
      }
      elements = kept
    }
    for index in elements.indices {
      try pay(work: TemplateLimits.stepWork)
      // Each round has its own scope: what it sets is gone in the next.
      let variables = try bind(loop.targets, to: elements[index])
      scopes.append(Scope(variables: variables, loop: Loop(elements: elements, index: index)))
      try run(loop.body)
      scopes.removeLast()
    }
    if elements.isEmpty { try run(loop.otherwise) }
  }

  private func bind(
    _ targets: [String],
    to element: TemplateValue
  ) throws(TokenizerError) -> [String: TemplateValue] {
    if targets.count == 1 { return [targets[0]: element] }
    guard case .array(let array) = element, array.elements.count == targets.count else {
      throw failure("\(element.kind) cannot be unpacked to \(targets.count) names")
    }
    return Dictionary(zip(targets, array.elements)) { $1 }
  }

  /// What a loop goes through.
  private mutating func elements(of value: TemplateValue) throws(TokenizerError) -> [TemplateValue]
  {
    switch value {
    case .array(let array): return array.elements
    case .undefined: return []
    case .dictionary(let dictionary):
      try pay(building: dictionary.members.count * Self.elementBytes)
      return dictionary.members.map { .string($0.key) }
    case .string(let string):
      try pay(building: string.utf8.count * Self.elementBytes)
      return string.unicodeScalars.map { .string(String($0)) }
    default: throw failure("\(value.kind) cannot be gone through")
    }
  }

  /// What a value in a list takes, for the budget.
  static let elementBytes = 32
}
