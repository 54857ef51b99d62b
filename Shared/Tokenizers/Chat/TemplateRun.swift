/// One rendering of a template: variables, output and what it may still cost.
///
/// The language can reach nothing but its values, every operation pays for its work and for what
/// it builds before it does so, and recursion is bounded by the depth of blocks, expressions and
/// values, and by `TemplateLimits.runDepthMax`. So a template, which comes from whoever made the
/// model, can do no harm but fail.
struct TemplateRun {
  let budget: TemplateBudget
  let clock: TemplateClock
  var scope: TemplateScope
  var output: [UInt8] = []
  /// How many scalars `output` has, counted outside of captured blocks.
  var outputScalars = 0
  /// The blocks around that capture what they render.
  var captureDepth = 0
  /// Where the output of `generation` blocks is, in scalars.
  var generationRanges: [Range<Int>] = []
  /// What the filters of a block begin with.
  var rendered = ""
  private var work = 0
  private var builtBytes = 0
  private var depth = 0
  /// The line that is being run.
  var line = 1
  /// What may hold itself in a circle and is emptied in the end.
  private var namespaces: [TemplateNamespace] = []
  private var scopes: [TemplateScope] = []
  private var loops: [TemplateLoopState] = []

  /// Renders `block`.
  ///
  /// - Throws: `template` naming the line and the cause, `refusedByTemplate`, `limitExceeded`.
  static func render(
    _ block: TemplateBlock,
    _ variables: [String: TemplateValue],
    budget: TemplateBudget = TemplateBudget(),
    clock: TemplateClock = .system
  ) throws(TokenizerError) -> RenderedChat {
    var context: [String: TemplateValue] = [:]
    for global in TemplateGlobal.allCases { context[global.rawValue] = .function(.global(global)) }
    context.merge(variables) { $1 }
    let root = TemplateScope(context, parent: nil)
    let scope = TemplateScope(parent: root, hidden: block.hidden)
    var run = TemplateRun(budget: budget, clock: clock, scope: scope)
    defer { run.breakCircles() }
    _ = try run.run(block)
    return RenderedChat(
      text: String(decoding: run.output, as: UTF8.self),
      generationRanges: run.generationRanges
    )
  }

  private init(budget: TemplateBudget, clock: TemplateClock, scope: TemplateScope) {
    self.budget = budget
    self.clock = clock
    self.scope = scope
    scopes.append(scope)
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
    let (sum, overflow) = work.addingReportingOverflow(units)
    guard !overflow, sum <= budget.workMax else {
      throw failure("more work than \(budget.workMax) units", .limitExceeded)
    }
    work = sum
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

  /// What a value in a list takes, for the budget.
  static let elementBytes = 32

  /// What an object takes that lives to the end of the rendering.
  static let objectBytes = 256

  /// Steps one level deeper; the caller steps back with `leave`.
  mutating func enter() throws(TokenizerError) {
    depth += 1
    guard depth <= TemplateLimits.runDepthMax else {
      depth -= 1
      throw failure(
        "it runs deeper than \(TemplateLimits.runDepthMax) levels",
        .limitExceeded
      )
    }
  }

  mutating func leave() { depth -= 1 }

  mutating func write(_ text: String) throws(TokenizerError) {
    guard text.utf8.count <= budget.outputBytesMax - output.count else {
      throw failure(
        "the prompt is longer than \(budget.outputBytesMax) bytes",
        .limitExceeded
      )
    }
    try pay(work: text.utf8.count)
    output.append(contentsOf: text.utf8)
    if captureDepth == 0 { outputScalars += text.unicodeScalars.count }
  }

  // MARK: Circles

  /// Remembers what may come to hold itself.
  mutating func remember(_ namespace: TemplateNamespace) throws(TokenizerError) {
    try pay(building: Self.objectBytes)
    namespaces.append(namespace)
  }

  mutating func remember(_ scope: TemplateScope) throws(TokenizerError) {
    if scopes.last === scope { return }
    try pay(building: Self.objectBytes)
    scopes.append(scope)
  }

  mutating func remember(_ loop: TemplateLoopState) throws(TokenizerError) {
    try pay(building: Self.objectBytes)
    loops.append(loop)
  }

  /// Each is still held here while it is emptied, so nothing is freed in a deep recursion.
  private mutating func breakCircles() {
    for namespace in namespaces { namespace.members = [] }
    for scope in scopes { scope.variables = [:] }
    for loop in loops { loop.lastChanged = nil }
  }

  // MARK: Variables

  func variable(_ name: String) -> TemplateValue {
    var current: TemplateScope? = scope
    while let scope = current {
      if let value = scope.variables[name] { return value }
      if scope.hidden.contains(name) { return .undefined(named: name) }
      current = scope.parent
    }
    return .undefined(named: name)
  }

  /// Runs `body` with variables of its own.
  mutating func scoped<Value>(
    _ scope: TemplateScope,
    _ body: (inout TemplateRun) throws(TokenizerError) -> Value
  ) throws(TokenizerError) -> Value {
    let outer = self.scope
    self.scope = scope
    defer { self.scope = outer }
    return try body(&self)
  }
}
