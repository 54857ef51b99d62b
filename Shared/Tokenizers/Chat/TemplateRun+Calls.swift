import JSON

/// The arguments of a call, evaluated.
struct TemplateArguments {
  var positional: [TemplateValue] = []
  var named: [(name: String, value: TemplateValue)] = []

  init(_ positional: [TemplateValue] = []) { self.positional = positional }
}

/// Calling functions and macros.
extension TemplateRun {
  /// Puts arguments into the order of `names`; nil for those that are not given.
  func bind(
    _ arguments: TemplateArguments,
    _ function: String,
    _ names: [String],
    required: Int = 0,
    isPositionalOnly: Bool = false
  ) throws(TokenizerError) -> [TemplateValue?] {
    guard arguments.positional.count <= names.count else {
      throw failure("\(function) takes \(names.count) arguments, not \(arguments.positional.count)")
    }
    var values: [TemplateValue?] = arguments.positional
    values += [TemplateValue?](repeating: nil, count: names.count - values.count)
    for argument in arguments.named {
      guard !isPositionalOnly, let index = names.firstIndex(where: { $0.isSame(argument.name) })
      else {
        throw failure("\(function) has no argument \"\(argument.name.excerpt(40))\"")
      }
      guard values[index] == nil else {
        throw failure("\(function) got two values for \"\(argument.name)\"")
      }
      values[index] = argument.value
    }
    for index in 0..<required where values[index] == nil {
      throw failure("\(function) needs an argument \"\(names[index])\"")
    }
    return values
  }

  /// An integer that an argument must be.
  func integer(_ value: TemplateValue, _ what: String) throws(TokenizerError) -> Int {
    if case .undefined(let why) = value { throw failure(why.cause) }
    guard let integer = value.integral else {
      throw failure("\(what) must be an integer, is \(value.kind)")
    }
    return integer
  }

  func string(_ value: TemplateValue, _ what: String) throws(TokenizerError) -> String {
    if case .undefined(let why) = value { throw failure(why.cause) }
    guard case .string(let string) = value else {
      throw failure("\(what) must be a string, is \(value.kind)")
    }
    return string
  }

  mutating func call(
    _ callee: TemplateValue,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    switch callee {
    case .undefined(let why): throw failure(why.cause)
    case .function(.method(let base, let name)):
      return try call(method: name, of: base, arguments)
    case .function(.global(let global)): return try call(global, arguments)
    case .function(.macro(let macro)): return try call(macro, arguments)
    case .function(.joiner(let joiner)):
      _ = try bind(arguments, "a joiner", [])
      defer { joiner.isUsed = true }
      return joiner.isUsed ? joiner.separator : .string("")
    case .loop(let loop):
      let values = try bind(arguments, "loop", ["iterable"], required: 1)
      guard let recursion = loop.recursion else {
        throw failure("only a recursive loop can be called")
      }
      let (text, _) = try capture { (run) throws(TokenizerError) in
        try run.scoped(recursion.scope) { (run) throws(TokenizerError) in
          try run.run(recursion.loop, over: values[0] ?? .none, depth0: loop.depth0 + 1)
        }
      }
      return .string(text)
    default: throw failure("\(callee.kind) cannot be called")
    }
  }

  private mutating func call(
    _ macro: TemplateMacro,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    let definition = macro.definition
    let name = definition.name ?? "the caller"
    let scope = TemplateScope(parent: macro.scope, hidden: definition.body.hidden)
    var named = arguments.named
    func take(_ name: String) -> TemplateValue? {
      guard let index = named.firstIndex(where: { $0.name.isSame(name) }) else { return nil }
      return named.remove(at: index).value
    }
    let parameters = definition.parameters
    for (parameter, value) in zip(parameters, arguments.positional) {
      scope.variables[parameter.name] = value
    }
    for parameter in parameters.dropFirst(arguments.positional.count) {
      if let value = take(parameter.name) { scope.variables[parameter.name] = value }
    }
    if definition.uses.contains("caller"), !parameters.contains(where: { $0.name == "caller" }) {
      var caller = take("caller") ?? .none
      if caller.isNone { caller = .undefined(.other("no caller is defined")) }
      scope.variables["caller"] = caller
    }
    let hasKeywords = parameters.contains { $0.name == "kwargs" }
    if definition.uses.contains("kwargs"), !hasKeywords {
      scope.variables["kwargs"] = try dictionary(named.map { (.string($0.name), $0.value) })
    } else if let first = named.first {
      throw failure("\"\(name)\" has no parameter \"\(first.name.excerpt(40))\"")
    }
    let rest = Array(arguments.positional.dropFirst(parameters.count))
    let hasRest = parameters.contains { $0.name == "varargs" }
    if definition.uses.contains("varargs"), !hasRest {
      scope.variables["varargs"] = try array(rest, .tuple)
    } else if !rest.isEmpty {
      throw failure("\"\(name)\" takes at most \(parameters.count) arguments")
    }
    return try run(definition, in: scope)
  }

  private mutating func run(
    _ definition: TemplateMacroDefinition,
    in scope: TemplateScope
  ) throws(TokenizerError) -> TemplateValue {
    let (text, _) = try capture { (run) throws(TokenizerError) in
      try run.scoped(scope) { (run) throws(TokenizerError) in
        for parameter in definition.parameters where scope.variables[parameter.name] == nil {
          if let value = parameter.value {
            scope.variables[parameter.name] = try run.evaluate(value)
          } else {
            scope.variables[parameter.name] = .undefined(
              .other("the parameter \"\(parameter.name)\" was not provided")
            )
          }
        }
        return try run.run(definition.body)
      }
    }
    return .string(text)
  }

  // MARK: Functions that every template has

  private mutating func call(
    _ global: TemplateGlobal,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    switch global {
    case .range: return try range(arguments)
    case .dict: return try dictionary(arguments)
    case .namespace:
      guard case .dictionary(let dictionary) = try dictionary(arguments) else { return .none }
      let namespace = TemplateNamespace([])
      try remember(namespace)
      for member in dictionary.members {
        guard case .string(let name) = member.key else {
          throw failure("a name of a namespace is not a string")
        }
        try set(name, of: namespace, to: member.value)
      }
      return .namespace(namespace)
    case .cycler:
      guard arguments.named.isEmpty, !arguments.positional.isEmpty else {
        throw failure("cycler needs values")
      }
      let cycler = TemplateCycler(arguments.positional)
      try check(depth: cycler.depth)
      return .cycler(cycler)
    case .joiner:
      let values = try bind(arguments, "joiner", ["sep"])
      let separator = values[0] ?? .string(", ")
      guard separator.depth == 0, !isCallable(separator) else {
        throw failure("\(separator.kind) cannot separate")
      }
      return .function(.joiner(TemplateJoiner(separator)))
    case .raiseException:
      let values = try bind(arguments, "raise_exception", ["message"], required: 1)
      let message = try text(of: values[0] ?? .none)
      throw failure("refused: \(message)", .refusedByTemplate)
    case .strftimeNow:
      let values = try bind(arguments, "strftime_now", ["format"], required: 1)
      let format = try string(values[0] ?? .none, "the format of strftime_now")
      try pay(building: format.utf8.count * 16)
      return .string(clock.now().formatted(format))
    }
  }

  private mutating func range(
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    let values = try bind(
      arguments,
      "range",
      ["start", "stop", "step"],
      required: 1,
      isPositionalOnly: true
    )
    var numbers: [Int] = []
    for case let value? in values { numbers.append(try integer(value, "an argument of range")) }
    let start = numbers.count > 1 ? numbers[0] : 0
    let stop = numbers.count > 1 ? numbers[1] : numbers[0]
    let step = numbers.count > 2 ? numbers[2] : 1
    guard step != 0 else { throw failure("the step of a range is 0") }
    guard let range = TemplateRange(start, stop, step) else {
      throw failure(
        "a range of more than \(TemplateLimits.rangeMax) numbers",
        .limitExceeded
      )
    }
    return .range(range)
  }

  /// Python's `dict(mapping or pairs, **members)`.
  private mutating func dictionary(
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    guard arguments.positional.count <= 1 else { throw failure("dict takes one argument") }
    var members: [(key: TemplateValue, value: TemplateValue)] = []
    switch arguments.positional.first {
    case nil: break
    case .dictionary(let dictionary)?: members = dictionary.members
    case let pairs?:
      for pair in try elements(of: pairs) {
        let parts = try elements(of: pair)
        guard parts.count == 2 else { throw failure("dict needs pairs") }
        members.append((parts[0], parts[1]))
      }
    }
    members += arguments.named.map { (.string($0.name), $0.value) }
    try pay(building: members.count * Self.elementBytes * 2)
    return try dictionary(members)
  }
}
