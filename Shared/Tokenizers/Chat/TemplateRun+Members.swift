import JSON

/// Members, elements and slices of values.
extension TemplateRun {
  private enum Found {
    case value(TemplateValue)
    /// It is there in Python, but the sandbox does not give it.
    case refused
    case nothing
  }

  /// `value.name`: Python's attribute, or else the element of that key.
  mutating func attribute(
    _ name: String,
    of value: TemplateValue
  ) throws(TokenizerError) -> TemplateValue {
    if case .undefined(let why) = value {
      throw failure("\(why.cause), it has no \"\(name.excerpt())\"")
    }
    switch try member(name, of: value) {
    case .value(let found): return found
    case .refused:
      return .undefined(.other("access to \"\(name.excerpt())\" of \(value.kind) is not safe"))
    case .nothing: break
    }
    if case .dictionary(let dictionary) = value {
      try pay(work: dictionary.members.count)
      if let found = dictionary[name] { return found }
    }
    return .undefined(.member(of: value.kind, name))
  }

  /// `value[key]`: the element of that key, or else Python's attribute.
  mutating func item(
    _ key: TemplateValue,
    of value: TemplateValue
  ) throws(TokenizerError) -> TemplateValue {
    if let found = try element(key, of: value) { return found }
    guard case .string(let name) = key else {
      return .undefined(.other("\(value.kind) has no such element"))
    }
    switch try member(name, of: value) {
    case .value(let found): return found
    case .refused:
      return .undefined(.other("access to \"\(name.excerpt())\" of \(value.kind) is not safe"))
    case .nothing: return .undefined(.member(of: value.kind, name))
    }
  }

  private mutating func element(
    _ key: TemplateValue,
    of value: TemplateValue
  ) throws(TokenizerError) -> TemplateValue? {
    func index(_ count: Int) -> Int? {
      guard let index = key.integral else { return nil }
      let position = index < 0 ? index + count : index
      return position >= 0 && position < count ? position : nil
    }
    switch value {
    case .undefined(let why): throw failure("\(why.cause), it has no elements")
    case .dictionary(let dictionary):
      try pay(work: dictionary.members.count)
      guard TemplateKey(key) != nil else { return nil }
      return dictionary[try self.key(key)]
    case .array(let array): return index(array.elements.count).map { array.elements[$0] }
    case .range(let range): return index(range.count).map { .integer(range[$0]) }
    case .string(let string):
      guard key.integral != nil else { return nil }
      try pay(work: string.utf8.count)
      let scalars = string.unicodeScalars
      guard let position = index(scalars.count) else { return nil }
      return .string(String(scalars[scalars.index(scalars.startIndex, offsetBy: position)]))
    default: return nil
    }
  }

  // MARK: Attributes

  private mutating func member(
    _ name: String,
    of value: TemplateValue
  ) throws(TokenizerError) -> Found {
    switch value {
    case .string: return method(name, of: value, Self.stringMethods)
    case .array(let array):
      if array.kind == .group, array.elements.count == 2, name == "grouper" || name == "list" {
        return .value(array.elements[name == "list" ? 1 : 0])
      }
      if array.isList, Self.listMutators.contains(name) { return .refused }
      return method(name, of: value, array.isList ? Self.listMethods : Self.tupleMethods)
    case .dictionary:
      if Self.dictionaryMutators.contains(name) { return .refused }
      return method(name, of: value, Self.dictionaryMethods)
    case .range(let range):
      switch name {
      case "start": return .value(.integer(range.start))
      case "stop": return .value(.integer(range.stop))
      case "step": return .value(.integer(range.step))
      default: return method(name, of: value, Self.tupleMethods)
      }
    case .view(let view):
      return name == "mapping" ? .value(.dictionary(view.dictionary)) : .nothing
    case .bool, .integer, .number: return try number(name, value)
    case .namespace(let namespace):
      try pay(work: namespace.members.count)
      return namespace[name].map(Found.value) ?? .nothing
    case .loop(let loop): return try member(name, of: loop, value)
    case .cycler(let cycler):
      switch name {
      case "current": return .value(cycler.items[cycler.position])
      case "items": return .value(.tuple(cycler.items))
      case "pos": return .value(.integer(cycler.position))
      default: return method(name, of: value, ["next", "reset"])
      }
    case .function(.macro(let macro)): return member(name, of: macro.definition)
    case .function(.global(.dict)): return method(name, of: value, ["fromkeys"])
    default: return .nothing
    }
  }

  private func method(_ name: String, of value: TemplateValue, _ names: Set<String>) -> Found {
    names.contains(name) ? .value(.function(.method(value, name))) : .nothing
  }

  private mutating func number(
    _ name: String,
    _ value: TemplateValue
  ) throws(TokenizerError) -> Found {
    let isInteger = value.integral != nil
    switch name {
    case "real": return .value(value.integral.map(TemplateValue.integer) ?? value)
    case "imag": return .value(isInteger ? .integer(0) : .number(0))
    case "numerator" where isInteger: return .value(try positive(value))
    case "denominator" where isInteger: return .value(.integer(1))
    default: return method(name, of: value, isInteger ? Self.integerMethods : Self.numberMethods)
    }
  }

  private mutating func member(
    _ name: String,
    of loop: TemplateLoopState,
    _ value: TemplateValue
  ) throws(TokenizerError) -> Found {
    switch name {
    case "index": return .value(.integer(loop.index0 + 1))
    case "index0": return .value(.integer(loop.index0))
    case "first": return .value(.bool(loop.index0 == 0))
    case "last": return .value(.bool(try loop.peek(&self) == nil))
    case "length": return .value(.integer(try loop.count(&self)))
    case "revindex": return .value(.integer(try loop.count(&self) - loop.index0))
    case "revindex0": return .value(.integer(try loop.count(&self) - loop.index0 - 1))
    case "depth": return .value(.integer(loop.depth0 + 1))
    case "depth0": return .value(.integer(loop.depth0))
    case "previtem":
      if loop.index0 > 0, let before = loop.before { return .value(before) }
      return .value(.undefined(.other("there is no previous item")))
    case "nextitem":
      return .value(try loop.peek(&self) ?? .undefined(.other("there is no next item")))
    default: return method(name, of: value, ["cycle", "changed"])
    }
  }

  private func member(_ name: String, of macro: TemplateMacroDefinition) -> Found {
    switch name {
    case "name": .value(macro.name.map(TemplateValue.string) ?? .none)
    case "arguments": .value(.tuple(macro.parameters.map { .string($0.name) }))
    case "catch_kwargs": .value(.bool(macro.uses.contains("kwargs")))
    case "catch_varargs": .value(.bool(macro.uses.contains("varargs")))
    case "caller": .value(.bool(macro.uses.contains("caller")))
    default: .nothing
    }
  }

  private static let stringMethods: Set<String> = [
    "capitalize", "casefold", "center", "count", "encode", "endswith", "expandtabs", "find",
    "format", "format_map", "index", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit",
    "isidentifier", "islower", "isnumeric", "isprintable", "isspace", "istitle", "isupper", "join",
    "ljust", "lower", "lstrip", "maketrans", "partition", "removeprefix", "removesuffix", "replace",
    "rfind", "rindex", "rjust", "rpartition", "rsplit", "rstrip", "split", "splitlines",
    "startswith", "strip", "swapcase", "title", "translate", "upper", "zfill",
  ]
  private static let listMutators: Set<String> = [
    "append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove",
  ]
  private static let listMethods: Set<String> = ["copy", "count", "index"]
  private static let tupleMethods: Set<String> = ["count", "index"]
  private static let dictionaryMutators: Set<String> = [
    "clear", "pop", "popitem", "setdefault", "update",
  ]
  private static let dictionaryMethods: Set<String> = [
    "copy", "fromkeys", "get", "items", "keys", "values",
  ]
  private static let integerMethods: Set<String> = [
    "as_integer_ratio", "bit_count", "bit_length", "conjugate", "from_bytes", "to_bytes",
  ]
  private static let numberMethods: Set<String> = [
    "as_integer_ratio", "conjugate", "fromhex", "hex", "is_integer",
  ]

  // MARK: Methods

  mutating func call(
    method name: String,
    of base: TemplateValue,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    switch base {
    case .string(let string): return try call(method: name, ofString: string, arguments)
    case .array, .range: return try call(method: name, ofSequence: base, arguments)
    case .dictionary(let dictionary):
      return try call(method: name, of: dictionary, arguments)
    case .loop(let loop): return try call(method: name, of: loop, arguments)
    case .cycler(let cycler):
      _ = try bind(arguments, name, [])
      let value = cycler.items[cycler.position]
      cycler.position = name == "next" ? (cycler.position + 1) % cycler.items.count : 0
      return name == "next" ? value : .none
    case .number(let number) where name == "is_integer":
      _ = try bind(arguments, name, [])
      return .bool(number.isFinite && number == number.rounded())
    case .bool, .integer, .number:
      guard name == "conjugate" || name == "bit_length", let integer = base.integral else { break }
      _ = try bind(arguments, name, [])
      if name == "conjugate" { return .integer(integer) }
      return .integer(Int.bitWidth - integer.magnitude.leadingZeroBitCount)
    case .function(.global(.dict)): return try fromKeys(arguments)
    default: break
    }
    throw failure("\"\(name)\" of \(base.kind) is not supported")
  }

  private mutating func call(
    method name: String,
    of loop: TemplateLoopState,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    guard arguments.named.isEmpty else { throw failure("\"\(name)\" takes no named arguments") }
    let values = arguments.positional
    if name == "cycle" {
      guard !values.isEmpty else { throw failure("no items for cycling given") }
      return values[max(loop.index0, 0) % values.count]
    }
    if let last = loop.lastChanged,
      try areEqual(.tuple(last), .tuple(values))
    {
      return .bool(false)
    }
    if loop.lastChanged == nil { try remember(loop) }
    loop.lastChanged = values
    return .bool(true)
  }

  private mutating func call(
    method name: String,
    ofSequence base: TemplateValue,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    if name == "copy" {
      _ = try bind(arguments, name, [])
      return .list(try elements(of: base))
    }
    let names = name == "count" ? ["value"] : ["value", "start", "stop"]
    let values = try bind(arguments, name, names, required: 1, isPositionalOnly: true)
    let elements = try elements(of: base)
    var count = 0
    var bounds = 0..<elements.count
    if name == "index" {
      func bound(_ value: TemplateValue?, _ otherwise: Int) throws(TokenizerError) -> Int {
        guard let value else { return otherwise }
        let index = try integer(value, "a bound")
        return min(max(index < 0 ? index + elements.count : index, 0), elements.count)
      }
      let start = try bound(values[1], 0)
      bounds = start..<max(start, try bound(values[2], elements.count))
    }
    for index in bounds where try areEqual(elements[index], values[0] ?? .none) {
      if name == "index" { return .integer(index) }
      count += 1
    }
    guard name == "count" else { throw failure("the value is not in \(base.kind)") }
    return .integer(count)
  }

  private mutating func call(
    method name: String,
    of dictionary: TemplateDictionary,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    switch name {
    case "get":
      let values = try bind(
        arguments,
        name,
        ["key", "default"],
        required: 1,
        isPositionalOnly: true
      )
      try pay(work: dictionary.members.count)
      return dictionary[try key(values[0] ?? .none)] ?? values[1] ?? .none
    case "fromkeys": return try fromKeys(arguments)
    default:
      _ = try bind(arguments, name, [])
      guard let kind = TemplateView.Kind(rawValue: name) else { return .dictionary(dictionary) }
      return .view(TemplateView(kind: kind, dictionary: dictionary))
    }
  }

  private mutating func fromKeys(
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    let values = try bind(
      arguments,
      "fromkeys",
      ["iterable", "value"],
      required: 1,
      isPositionalOnly: true
    )
    let keys = try elements(of: values[0] ?? .none)
    try pay(building: keys.count * Self.elementBytes * 2)
    return try dictionary(keys.map { ($0, values[1] ?? .none) })
  }
}
