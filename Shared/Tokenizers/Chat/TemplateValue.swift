/// A value of a template's language, with Python's meaning.
enum TemplateValue: Sendable {
  /// What a missing variable or member is; the name is for messages.
  case undefined(String)
  case none
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case array(TemplateArray)
  case dictionary(TemplateDictionary)
  /// The one thing that an inner scope can change for an outer one.
  case namespace(TemplateNamespace)
}

/// A list.
///
/// It knows its depth, so that walking it by recursion is safe.
struct TemplateArray: Sendable {
  let elements: [TemplateValue]
  let depth: Int

  init(_ elements: [TemplateValue]) {
    self.elements = elements
    depth = elements.reduce(1) { max($0, $1.depth + 1) }
  }
}

/// A dictionary with strings as keys, in the order of insertion.
///
/// Meant to be small.
struct TemplateDictionary: Sendable {
  let members: [(key: String, value: TemplateValue)]
  let depth: Int

  /// A key that is there twice keeps its first place and its last value, as in Python.
  init(_ members: [(key: String, value: TemplateValue)]) {
    var unique: [(key: String, value: TemplateValue)] = []
    for member in members {
      if let index = unique.firstIndex(where: { $0.key.hasSameScalars(as: member.key) }) {
        unique[index].value = member.value
      } else {
        unique.append(member)
      }
    }
    self.members = unique
    depth = members.reduce(1) { max($0, $1.value.depth + 1) }
  }

  subscript(key: String) -> TemplateValue? {
    members.first { $0.key.hasSameScalars(as: key) }?.value
  }
}

/// Variables that a loop may set for what comes after it (`namespace(...)`).
///
/// It cannot hold lists of namespaces or itself (see `TemplateRun`), so there are no cycles.
final class TemplateNamespace: @unchecked Sendable {
  // Invariant: made and used within one rendering, which one thread runs from start to end; it
  // never leaves the rendering.
  var members: [String: TemplateValue]

  init(_ members: [String: TemplateValue]) { self.members = members }
}

extension TemplateValue {
  /// How deep lists and dictionaries are nested in it.
  var depth: Int {
    switch self {
    case .array(let array): array.depth
    case .dictionary(let dictionary): dictionary.depth
    default: 0
    }
  }

  /// Python's truth.
  var isTrue: Bool {
    switch self {
    case .undefined, .none: false
    case .bool(let bool): bool
    case .integer(let integer): integer != 0
    case .number(let number): number != 0
    case .string(let string): !string.isEmpty
    case .array(let array): !array.elements.isEmpty
    case .dictionary(let dictionary): !dictionary.members.isEmpty
    case .namespace: true
    }
  }

  /// What the value is, for messages.
  var kind: String {
    switch self {
    case .undefined(let name): "undefined (\(name))"
    case .none: "none"
    case .bool: "a boolean"
    case .integer: "an integer"
    case .number: "a number"
    case .string: "a string"
    case .array: "a list"
    case .dictionary: "a dictionary"
    case .namespace: "a namespace"
    }
  }

  /// The value as a number, booleans included, as in Python.
  var numeric: Double? {
    switch self {
    case .bool(let bool): bool ? 1 : 0
    case .integer(let integer): Double(integer)
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

extension String {
  /// Python's equality, of scalars.
  ///
  /// Swift's `==` also takes "é" for "e" with an accent.
  func hasSameScalars(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }
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
