import JSON

/// A value of a template's language, with Python's meaning.
///
/// All but the objects of one rendering (namespaces, iterators, loops, functions) are immutable.
enum TemplateValue: Sendable {
  /// What a missing variable or member is.
  case undefined(TemplateUndefined)
  case none
  case bool(Bool)
  case integer(Int)
  /// An integer of the context that only fits here; it can be written and compared.
  case unsigned(UInt64)
  case number(Double)
  case string(String)
  /// A list or a tuple.
  case array(TemplateArray)
  case dictionary(TemplateDictionary)
  case range(TemplateRange)
  /// What `keys`, `values` and `items` of a dictionary give.
  case view(TemplateView)
  case iterator(TemplateIterator)
  /// The one thing that an inner scope can change for an outer one.
  case namespace(TemplateNamespace)
  case loop(TemplateLoopState)
  case cycler(TemplateCycler)
  case function(TemplateFunction)

  static func undefined(named name: String) -> TemplateValue { .undefined(.variable(name)) }
  static func list(_ elements: [TemplateValue]) -> TemplateValue {
    .array(TemplateArray(elements))
  }
  static func tuple(_ elements: [TemplateValue]) -> TemplateValue {
    .array(TemplateArray(elements, .tuple))
  }
}

/// Why a value is undefined.
enum TemplateUndefined: Sendable {
  case variable(String)
  /// Something of this kind has no such member.
  case member(of: String, String)
  /// A cause in words.
  case other(String)

  var cause: String {
    switch self {
    case .variable(let name): "\"\(name.excerpt())\" is undefined"
    case .member(let kind, let name): "\(kind) has no \"\(name.excerpt())\""
    case .other(let cause): cause
    }
  }
}

/// A list or a tuple.
///
/// It knows its depth, so that walking it by recursion is safe.
final class TemplateArray: Sendable {
  enum Kind: Sendable {
    case list, tuple
    /// A tuple whose elements are also its members `grouper` and `list`.
    case group
  }

  let elements: [TemplateValue]
  let kind: Kind
  let depth: Int

  init(_ elements: [TemplateValue], _ kind: Kind = .list) {
    self.elements = elements
    self.kind = kind
    depth = elements.reduce(1) { max($0, $1.depth + 1) }
  }

  var isList: Bool { kind == .list }
}

/// A dictionary in the order of insertion.
final class TemplateDictionary: Sendable {
  typealias Member = (key: TemplateValue, value: TemplateValue)

  let members: [Member]
  let depth: Int
  /// Where each key is; empty while there are few.
  private let indices: [TemplateKey: Int]
  private static let scannedMembersMax = 8

  /// A key that is there twice keeps its first place and its last value, as in Python.
  init(_ members: [(key: TemplateKey, value: TemplateValue)]) {
    var unique: [Member] = []
    var indices: [TemplateKey: Int] = [:]
    unique.reserveCapacity(members.count)
    for member in members {
      if let index = indices[member.key] {
        unique[index].value = member.value
      } else {
        indices[member.key] = unique.count
        unique.append((member.key.value, member.value))
      }
    }
    self.members = unique
    self.indices = unique.count > Self.scannedMembersMax ? indices : [:]
    depth = unique.reduce(1) { max($0, max($1.value.depth, $1.key.depth) + 1) }
  }

  /// A dictionary with texts as keys.
  convenience init(texts members: [(key: String, value: TemplateValue)]) {
    self.init(members.map { (.string($0.key), $0.value) })
  }

  subscript(key: String) -> TemplateValue? {
    if indices.isEmpty {
      for member in members {
        if case .string(let text) = member.key, text.isSame(key) { return member.value }
      }
      return nil
    }
    return indices[.string(key)].map { members[$0].value }
  }

  subscript(key: TemplateKey) -> TemplateValue? {
    if !indices.isEmpty { return indices[key].map { members[$0].value } }
    return members.first { TemplateKey($0.key) == key }?.value
  }
}

/// What can be a key of a dictionary: equal as Python's values are, `1`, `1.0` and `True` alike.
enum TemplateKey: Hashable, Sendable {
  case none
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case tuple([TemplateKey])
  case undefined
  case object(ObjectIdentifier, TemplateObjectKey)

  /// The value, if it can be a key.
  init?(_ value: TemplateValue) {
    switch value {
    case .none: self = .none
    case .bool(let bool): self = .bool(bool)
    case .integer(let integer): self = .integer(integer)
    case .unsigned(let integer): self = .number(Double(integer))
    case .number(let number): self = .number(number)
    case .string(let string): self = .string(string)
    case .undefined: self = .undefined
    case .array(let array):
      guard !array.isList else { return nil }
      var keys: [TemplateKey] = []
      for element in array.elements {
        guard let key = TemplateKey(element) else { return nil }
        keys.append(key)
      }
      self = .tuple(keys)
    case .namespace(let object):
      self = .object(ObjectIdentifier(object), TemplateObjectKey(value: value))
    case .iterator(let object):
      self = .object(ObjectIdentifier(object), TemplateObjectKey(value: value))
    case .loop(let object):
      self = .object(ObjectIdentifier(object), TemplateObjectKey(value: value))
    case .cycler(let object):
      self = .object(ObjectIdentifier(object), TemplateObjectKey(value: value))
    case .dictionary, .range, .view, .function: return nil
    }
  }

  var value: TemplateValue {
    switch self {
    case .none: .none
    case .bool(let bool): .bool(bool)
    case .integer(let integer): .integer(integer)
    case .number(let number): .number(number)
    case .string(let string): .string(string)
    case .tuple(let keys): .tuple(keys.map(\.value))
    case .undefined: .undefined(named: "a key")
    case .object(_, let key): key.value
    }
  }

  private var numeric: Double? {
    switch self {
    case .bool(let bool): bool ? 1 : 0
    case .integer(let integer): Double(integer)
    case .number(let number): number
    default: nil
    }
  }

  static func == (left: TemplateKey, right: TemplateKey) -> Bool {
    switch (left, right) {
    case (.string(let left), .string(let right)): return left.isSame(right)
    case (.none, .none), (.undefined, .undefined): return true
    case (.integer(let left), .integer(let right)): return left == right
    case (.tuple(let left), .tuple(let right)): return left == right
    case (.object(let left, _), .object(let right, _)): return left == right
    default:
      guard let left = left.numeric, let right = right.numeric else { return false }
      return left == right
    }
  }

  func hash(into hasher: inout Hasher) {
    switch self {
    case .none, .undefined: hasher.combine(0)
    case .string(let string):
      for byte in string.utf8 { hasher.combine(byte) }
    case .tuple(let keys): for key in keys { key.hash(into: &hasher) }
    case .object(let identifier, _): hasher.combine(identifier)
    case .bool, .integer, .number: hasher.combine(numeric ?? 0)
    }
  }
}

/// The object that a key is; keys compare its identity alone.
struct TemplateObjectKey: Sendable { let value: TemplateValue }

/// Python's `range`; at most `TemplateLimits.rangeMax` numbers.
struct TemplateRange: Sendable {
  let start: Int
  let stop: Int
  let step: Int
  let count: Int

  /// Nil if it has too many numbers; `step` is not 0.
  init?(_ start: Int, _ stop: Int, _ step: Int) {
    (self.start, self.stop, self.step) = (start, stop, step)
    let isEmpty = step > 0 ? start >= stop : start <= stop
    if isEmpty {
      count = 0
    } else {
      let (distance, overflow) = stop.subtractingReportingOverflow(start)
      guard !overflow else { return nil }
      let units = (distance.magnitude - 1) / step.magnitude + 1
      guard units <= UInt(TemplateLimits.rangeMax) else { return nil }
      count = Int(units)
    }
  }

  /// Also defined just before and behind the range, for slices.
  subscript(index: Int) -> Int { start &+ index &* step }
  var elements: [TemplateValue] { (0..<count).map { .integer(self[$0]) } }
}

/// A view of a dictionary's members.
struct TemplateView: Sendable {
  enum Kind: String, Sendable { case keys, values, items }

  let kind: Kind
  let dictionary: TemplateDictionary

  var elements: [TemplateValue] {
    switch kind {
    case .keys: dictionary.members.map(\.key)
    case .values: dictionary.members.map(\.value)
    case .items: dictionary.members.map { .tuple([$0.key, $0.value]) }
    }
  }
}

extension TemplateValue {
  /// How deep lists and dictionaries are nested in it.
  var depth: Int {
    switch self {
    case .array(let array): array.depth
    case .dictionary(let dictionary): dictionary.depth
    case .view(let view): view.dictionary.depth + 1
    case .iterator(let iterator): iterator.depth
    case .function(.method(let base, _)): base.depth + 1
    case .cycler(let cycler): cycler.depth
    case .loop(let loop): loop.depth
    default: 0
    }
  }

  /// Python's truth.
  var isTrue: Bool {
    switch self {
    case .undefined, .none: false
    case .bool(let bool): bool
    case .integer(let integer): integer != 0
    case .unsigned: true
    case .number(let number): number != 0
    case .string(let string): !string.isEmpty
    case .array(let array): !array.elements.isEmpty
    case .dictionary(let dictionary): !dictionary.members.isEmpty
    case .range(let range): range.count > 0
    case .view(let view): !view.dictionary.members.isEmpty
    case .namespace, .iterator, .loop, .cycler, .function: true
    }
  }

  var isUndefined: Bool { if case .undefined = self { true } else { false } }
  var isNone: Bool { if case .none = self { true } else { false } }

  /// What the value is, for messages.
  var kind: String {
    switch self {
    case .undefined: "an undefined value"
    case .none: "none"
    case .bool: "a boolean"
    case .integer, .unsigned: "an integer"
    case .number: "a number"
    case .string: "a string"
    case .array(let array): array.isList ? "a list" : "a tuple"
    case .dictionary: "a dictionary"
    case .range: "a range"
    case .view: "a view of a dictionary"
    case .iterator: "an iterator"
    case .namespace: "a namespace"
    case .loop: "a loop"
    case .cycler: "a cycler"
    case .function: "a function"
    }
  }

  /// The value as a number, booleans included, as in Python.
  var numeric: Double? {
    switch self {
    case .bool(let bool): bool ? 1 : 0
    case .integer(let integer): Double(integer)
    case .unsigned(let integer): Double(integer)
    case .number(let number): number
    default: nil
    }
  }

  /// The value as an integer, booleans included.
  var integral: Int? {
    switch self {
    case .bool(let bool): bool ? 1 : 0
    case .integer(let integer): integer
    default: nil
    }
  }
}

extension Unicode.Scalar {
  /// What Python's `str.strip` removes.
  var isPythonSpace: Bool {
    switch value {
    case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F,
      0x205F, 0x3000:
      true
    default: false
    }
  }
}
