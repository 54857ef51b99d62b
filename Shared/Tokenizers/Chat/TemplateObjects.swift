import JSON

/// The variables of one block, which those of the blocks around it can be seen through.
final class TemplateScope: @unchecked Sendable {
  // Invariant: made and used within one rendering, which one thread runs from start to end.
  var variables: [String: TemplateValue]
  let parent: TemplateScope?
  /// Names that the block sets before it reads them: until then they are undefined here, whatever
  /// outer scopes have (see `TemplateNames`).
  let hidden: Set<String>

  init(
    _ variables: [String: TemplateValue] = [:],
    parent: TemplateScope?,
    hidden: Set<String> = []
  ) {
    self.variables = variables
    self.parent = parent
    self.hidden = hidden
  }
}

/// Variables that a loop may set for what comes after it (`namespace(...)`).
///
/// It may come to hold itself; `TemplateRun` empties all in the end.
final class TemplateNamespace: @unchecked Sendable {
  // Invariant: as `TemplateScope`.
  var members: [(name: String, value: TemplateValue)]

  init(_ members: [(name: String, value: TemplateValue)]) { self.members = members }

  subscript(name: String) -> TemplateValue? { members.first { $0.name.isSame(name) }?.value }

  func set(_ name: String, _ value: TemplateValue) {
    if let index = members.firstIndex(where: { $0.name.isSame(name) }) {
      members[index].value = value
    } else {
      members.append((name, value))
    }
  }
}

/// What can be gone through once: Python's generators and iterators.
final class TemplateIterator: @unchecked Sendable {
  typealias Step = (inout TemplateRun) throws(TokenizerError) -> TemplateValue?

  // Invariant: as `TemplateScope`.
  private let step: Step
  /// How many iterators it goes through in turn, and how deep what it goes through is.
  let depth: Int

  init(depth: Int, _ step: @escaping Step) {
    self.depth = depth
    self.step = step
  }

  convenience init(_ elements: [TemplateValue], depth: Int) {
    var index = 0
    self.init(depth: depth) { (_: inout TemplateRun) throws(TokenizerError) in
      guard index < elements.count else { return nil }
      index += 1
      return elements[index - 1]
    }
  }

  func next(_ run: inout TemplateRun) throws(TokenizerError) -> TemplateValue? {
    try step(&run)
  }
}

/// The `loop` of a `for` statement.
final class TemplateLoopState: @unchecked Sendable {
  // Invariant: as `TemplateScope`.
  private var source: TemplateIterator
  private var knownCount: Int?
  /// The element after the current one, if it was looked at; `.some(nil)` if there is none.
  private var after: TemplateValue??
  private(set) var current: TemplateValue?
  private(set) var before: TemplateValue?
  private(set) var index0 = -1
  let depth0: Int
  /// How deep what it goes through is.
  let depth: Int
  /// What `loop(...)` runs, if the loop is recursive.
  let recursion: (loop: TemplateLoop, scope: TemplateScope)?
  var lastChanged: [TemplateValue]?

  init(
    source: TemplateIterator,
    count: Int?,
    depth0: Int,
    recursion: (loop: TemplateLoop, scope: TemplateScope)?
  ) {
    self.source = source
    knownCount = count
    self.depth0 = depth0
    depth = source.depth + 1
    self.recursion = recursion
  }

  func advance(_ run: inout TemplateRun) throws(TokenizerError) -> TemplateValue? {
    guard let next = try peek(&run) else { return nil }
    after = nil
    index0 += 1
    before = current
    current = next
    return next
  }

  func peek(_ run: inout TemplateRun) throws(TokenizerError) -> TemplateValue? {
    if let after { return after }
    let next = try source.next(&run)
    after = .some(next)
    return next
  }

  /// How many elements there are; those of an iterator are fetched to count them.
  func count(_ run: inout TemplateRun) throws(TokenizerError) -> Int {
    if let knownCount { return knownCount }
    var rest: [TemplateValue] = []
    while let element = try source.next(&run) {
      try run.pay(building: TemplateRun.elementBytes)
      rest.append(element)
    }
    var pending = 0
    if let peeked = after {
      if case .some = peeked { pending = 1 } else { after = nil }
    }
    let count = rest.count + index0 + 1 + pending
    source = TemplateIterator(rest, depth: source.depth)
    knownCount = count
    return count
  }
}

/// `cycler(...)`.
final class TemplateCycler: @unchecked Sendable {
  // Invariant: as `TemplateScope`.
  let items: [TemplateValue]
  var position = 0
  let depth: Int

  init(_ items: [TemplateValue]) {
    self.items = items
    depth = items.reduce(1) { max($0, $1.depth + 1) }
  }
}

/// What can be called.
indirect enum TemplateFunction: Sendable {
  /// A method of a value, for example `text.strip`.
  case method(TemplateValue, String)
  case global(TemplateGlobal)
  case macro(TemplateMacro)
  /// `joiner(...)`
  case joiner(TemplateJoiner)
}

/// The functions that every template has.
enum TemplateGlobal: String, Sendable, CaseIterable {
  case range, dict, namespace, cycler, joiner
  case raiseException = "raise_exception"
  case strftimeNow = "strftime_now"
}

/// A macro and where it was defined.
final class TemplateMacro: Sendable {
  let definition: TemplateMacroDefinition
  let scope: TemplateScope

  init(_ definition: TemplateMacroDefinition, scope: TemplateScope) {
    self.definition = definition
    self.scope = scope
  }
}

/// `joiner(...)`: nothing at first, then the separator.
final class TemplateJoiner: @unchecked Sendable {
  // Invariant: as `TemplateScope`.
  let separator: TemplateValue
  var isUsed = false

  init(_ separator: TemplateValue) { self.separator = separator }
}
