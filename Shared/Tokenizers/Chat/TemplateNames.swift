/// Finds the names that a block sets before it reads them.
///
/// Jinja compiles a template to a function in which such a name is a local variable from the start:
/// what a loop or macro within the block reads before it is set is undefined, though the context or
/// an outer block may have it. The rules are those of `jinja2.idtracking`.
struct TemplateNames {
  private enum Source { case outer, nothing }

  /// What a block, or a branch of an `if`, reads and sets first.
  private struct Layer {
    var sources: [String: Source] = [:]
    var stored: Set<String> = []
  }

  /// The block, and the branches around the current statement.
  ///
  /// Not copied for branches: a template of many names and many branches would take quadratic time.
  private var layers = [Layer()]

  static func resolve(_ block: inout TemplateBlock) {
    resolve(&block, known: [], own: [])
  }

  /// Resolves a block that declares `own` names itself, within blocks that know `known`.
  private static func resolve(
    _ block: inout TemplateBlock,
    known: [Set<String>],
    own: [String],
    declare: (inout TemplateNames) -> Void = { _ in }
  ) {
    var names = TemplateNames()
    names.layers[0].stored = Set(own)
    declare(&names)
    names.visit(block)
    let layer = names.layers[0]
    for (name, source) in layer.sources where source == .nothing {
      if !known.contains(where: { $0.contains(name) }) { block.hidden.insert(name) }
    }
    block.hidden.subtract(own)
    let inner = known + [layer.stored.union(layer.sources.keys)]
    for index in block.statements.indices { descend(&block.statements[index], inner) }
  }

  /// Resolves the blocks within a statement that have scopes of their own.
  private static func descend(_ statement: inout TemplateStatement, _ known: [Set<String>]) {
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

  private static func resolve(_ definition: inout TemplateMacroDefinition, _ known: [Set<String>]) {
    let own = definition.parameters.map(\.name) + definition.uses
    let defaults = definition.parameters.compactMap(\.value)
    resolve(&definition.body, known: known, own: own) { names in
      for value in defaults { names.visit(value) }
    }
  }

  private init() {}

  static func names(of target: TemplateTarget) -> [String] {
    switch target {
    case .name(let name): [name]
    case .member: []
    case .tuple(let targets): targets.flatMap { names(of: $0) }
    }
  }

  // MARK: What one block reads and sets, in order

  private func isKnown(_ name: String) -> Bool {
    layers.contains { $0.sources[name] != nil || $0.stored.contains(name) }
  }

  private mutating func note(_ name: String, _ source: Source) {
    layers[layers.count - 1].sources[name] = source
  }

  private mutating func load(_ name: String) {
    if !isKnown(name) { note(name, .outer) }
  }

  private mutating func store(_ target: TemplateTarget) {
    switch target {
    case .name(let name):
      if !isKnown(name) { note(name, .nothing) }
      if !layers.contains(where: { $0.stored.contains(name) }) {
        layers[layers.count - 1].stored.insert(name)
      }
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
    let parts = [
      branch { $0.visit(first.body) },
      branch { names in
        for branch in branches.dropFirst() { names.visit([branch], TemplateBlock()) }
      },
      branch { $0.visit(otherwise) },
    ]
    var counts: [String: Int] = [:]
    for part in parts {
      for name in part.stored { counts[name, default: 0] += 1 }
      layers[layers.count - 1].sources.merge(part.sources) { $1 }
      layers[layers.count - 1].stored.formUnion(part.stored)
    }
    for (name, count) in counts where count < parts.count { note(name, .outer) }
  }

  private mutating func branch(_ visit: (inout TemplateNames) -> Void) -> Layer {
    layers.append(Layer())
    visit(&self)
    return layers.removeLast()
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
