/// Finds the names that a block sets before it reads them.
///
/// Jinja compiles a template to a function in which such a name is a local variable from the start:
/// what a loop or macro within the block reads before it is set is undefined, though the context or
/// an outer block may have it. The rules are those of `jinja2.idtracking`.
struct TemplateNames {
  private enum Source { case outer, nothing }

  /// Names that this block or one around it knows.
  private var known: Set<String>
  private var sources: [String: Source] = [:]
  private var stored: Set<String> = []

  static func resolve(_ block: inout TemplateBlock) {
    resolve(&block, known: [], own: [])
  }

  /// Resolves a block that declares `own` names itself, within blocks that know `known`.
  private static func resolve(
    _ block: inout TemplateBlock,
    known: Set<String>,
    own: [String],
    declare: (inout TemplateNames) -> Void = { _ in }
  ) {
    var names = TemplateNames(known: known)
    for name in own { names.stored.insert(name) }
    declare(&names)
    names.visit(block)
    block.hidden = Set(names.sources.filter { $0.value == .nothing && !known.contains($0.key) }.keys)
    block.hidden.subtract(own)
    let inner = known.union(names.sources.keys).union(names.stored)
    for index in block.statements.indices { descend(&block.statements[index], inner) }
  }

  /// Resolves the blocks within a statement that have scopes of their own.
  private static func descend(_ statement: inout TemplateStatement, _ known: Set<String>) {
    switch statement {
    case .text, .output, .set, .breakLoop, .continueLoop: break
    case .conditional(var branches, var otherwise):
      for index in branches.indices {
        for inner in branches[index].body.statements.indices {
          descend(&branches[index].body.statements[inner], known)
        }
      }
      for inner in otherwise.statements.indices { descend(&otherwise.statements[inner], known) }
      statement = .conditional(branches, else: otherwise)
    case .loop(var loop):
      let targets = names(of: loop.target)
      resolve(&loop.body, known: known, own: targets + ["loop"])
      if var otherwise = loop.otherwise {
        resolve(&otherwise, known: known, own: [])
        loop.otherwise = otherwise
      }
      statement = .loop(loop)
    case .capture(let target, let filter, var body, let line):
      resolve(&body, known: known, own: [])
      statement = .capture(target, filter: filter, body, line: line)
    case .filtered(let filter, var body):
      resolve(&body, known: known, own: [])
      statement = .filtered(filter, body)
    case .with(let variables, var body):
      resolve(&body, known: known, own: variables.flatMap { names(of: $0.target) })
      statement = .with(variables, body)
    case .macro(var definition):
      resolve(&definition, known)
      statement = .macro(definition)
    case .call(let function, let arguments, var caller, let line):
      resolve(&caller, known)
      statement = .call(function, arguments, caller: caller, line: line)
    case .generation(var body):
      resolve(&body, known: known, own: [])
      statement = .generation(body)
    }
  }

  private static func resolve(_ definition: inout TemplateMacroDefinition, _ known: Set<String>) {
    let own = definition.parameters.map(\.name) + definition.uses
    let defaults = definition.parameters.compactMap(\.value)
    resolve(&definition.body, known: known, own: own) { names in
      for value in defaults { names.visit(value) }
    }
  }

  private init(known: Set<String>) { self.known = known }

  static func names(of target: TemplateTarget) -> [String] {
    switch target {
    case .name(let name): [name]
    case .member: []
    case .tuple(let targets): targets.flatMap { names(of: $0) }
    }
  }

  // MARK: What one block reads and sets, in order

  private mutating func load(_ name: String) {
    if sources[name] == nil, !stored.contains(name) { sources[name] = .outer }
  }

  private mutating func store(_ target: TemplateTarget) {
    switch target {
    case .name(let name):
      if sources[name] == nil, !stored.contains(name) { sources[name] = .nothing }
      stored.insert(name)
    case .member(let name, _): load(name)
    case .tuple(let targets): for target in targets { store(target) }
    }
  }

  private mutating func visit(_ block: TemplateBlock) {
    for statement in block.statements { visit(statement) }
  }

  private mutating func visit(_ statement: TemplateStatement) {
    switch statement {
    case .text, .generation, .breakLoop, .continueLoop: break
    case .output(let value): visit(value)
    case .conditional(let branches, let otherwise): visit(branches[...], otherwise)
    case .loop(let loop): visit(loop.sequence)
    case .set(let target, let value, _):
      visit(value)
      store(target)
    case .capture(let target, _, _, _): store(target)
    case .filtered(let filter, _): visit(filter)
    case .with(let variables, _): for variable in variables { visit(variable.value) }
    case .macro(let definition): if let name = definition.name { store(.name(name)) }
    case .call(let function, let arguments, _, _):
      visit(function)
      for part in arguments.parts { visit(part) }
    }
  }

  /// The branches of an `if`: a name that not all of them set may come from outside.
  private mutating func visit(_ branches: ArraySlice<TemplateBranch>, _ otherwise: TemplateBlock) {
    guard let first = branches.first else { return }
    visit(first.condition)
    var body = self
    body.visit(first.body)
    var others = self
    for branch in branches.dropFirst() { others.visit([branch], TemplateBlock()) }
    var last = self
    last.visit(otherwise)
    var counts: [String: Int] = [:]
    for branch in [body, others, last] {
      for name in branch.stored.subtracting(stored) { counts[name, default: 0] += 1 }
    }
    for branch in [body, others, last] {
      sources.merge(branch.sources) { $1 }
      stored.formUnion(branch.stored)
    }
    for (name, count) in counts where count < 3 { sources[name] = .outer }
  }

  private mutating func visit(_ value: TemplateExpression) {
    switch value.kind {
    case .literal, .unknown, .rendered: break
    case .name(let name): load(name)
    case .array(let parts, _), .concatenation(let parts): for part in parts { visit(part) }
    case .dictionary(let members):
      for member in members {
        visit(member.key)
        visit(member.value)
      }
    case .attribute(let base, _), .not(let base), .negative(let base), .positive(let base):
      visit(base)
    case .index(let left, let right), .and(let left, let right), .or(let left, let right),
      .arithmetic(_, let left, let right):
      visit(left)
      visit(right)
    case .slice(let base, let slice):
      visit(base)
      for part in slice.parts { visit(part) }
    case .call(let base, let arguments), .filter(let base, _, let arguments),
      .test(let base, _, let arguments):
      visit(base)
      for part in arguments.parts { visit(part) }
    case .comparison(let first, let others):
      visit(first)
      for other in others { visit(other.1) }
    case .conditional(let condition, let then, let otherwise):
      visit(condition)
      visit(then)
      if let otherwise { visit(otherwise) }
    }
  }
}
