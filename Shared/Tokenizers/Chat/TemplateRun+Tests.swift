/// The tests that follow `is`.
extension TemplateRun {
  mutating func test(
    _ value: TemplateValue,
    _ test: TemplateTest,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> Bool {
    switch test {
    case .eq, .equalto, .equalSign, .ne, .unequalSign, .lt, .lessthan, .lessSign, .le,
      .lessOrEqualSign, .gt, .greaterthan, .greaterSign, .ge, .greaterOrEqualSign, .in, .sameas,
      .divisibleby:
      let values = try bind(
        arguments,
        "the test \(test.rawValue)",
        ["other"],
        required: 1,
        isPositionalOnly: test != .in && test != .sameas && test != .divisibleby
      )
      return try self.test(value, test, other: values[0] ?? .none)
    default: break
    }
    _ = try bind(arguments, "the test \(test.rawValue)", [])
    switch test {
    case .defined: return !value.isUndefined
    case .undefined: return value.isUndefined
    case .none: return value.isNone
    case .boolean:
      guard case .bool = value else { return false }
      return true
    case .true:
      guard case .bool(true) = value else { return false }
      return true
    case .false:
      guard case .bool(false) = value else { return false }
      return true
    case .integer:
      switch value {
      case .integer, .unsigned: return true
      default: return false
      }
    case .float:
      guard case .number = value else { return false }
      return true
    case .number: return value.numeric != nil
    case .string:
      guard case .string = value else { return false }
      return true
    case .mapping:
      guard case .dictionary = value else { return false }
      return true
    case .sequence: return isSequence(value)
    case .iterable: return isIterable(value)
    case .callable: return isCallable(value)
    case .escaped: return false
    case .odd, .even:
      let rest = try arithmetic(.modulo, value, .integer(2))
      return try areEqual(rest, .integer(test == .odd ? 1 : 0))
    case .lower, .upper:
      return PythonText.hasCase(try text(of: value), upper: test == .upper)
    case .filter, .test:
      _ = try key(value)
      return isName(value, of: test)
    default: return false
    }
  }

  private mutating func test(
    _ value: TemplateValue,
    _ test: TemplateTest,
    other: TemplateValue
  ) throws(TokenizerError) -> Bool {
    switch test {
    case .eq, .equalto, .equalSign: return try areEqual(value, other)
    case .ne, .unequalSign: return try !areEqual(value, other)
    case .lt, .lessthan, .lessSign: return try precedes(value, other)
    case .le, .lessOrEqualSign: return try precedes(value, other, orIsEqual: true)
    case .gt, .greaterthan, .greaterSign: return try precedes(other, value)
    case .ge, .greaterOrEqualSign: return try precedes(other, value, orIsEqual: true)
    case .in: return try contains(other, value)
    case .divisibleby: return try areEqual(try arithmetic(.modulo, value, other), .integer(0))
    default: return try isSame(value, other)
    }
  }

  /// Python's operator `is`.
  ///
  /// Equal numbers and strings of one type are taken for the same, as small ones are in CPython.
  private mutating func isSame(
    _ left: TemplateValue,
    _ right: TemplateValue
  ) throws(TokenizerError) -> Bool {
    switch (left, right) {
    case (.array(let left), .array(let right)):
      return left === right
        || (!left.isList && !right.isList && left.elements.isEmpty && right.elements.isEmpty)
    case (.dictionary(let left), .dictionary(let right)): return left === right
    case (.none, .none): return true
    case (.bool(let left), .bool(let right)): return left == right
    case (.integer(let left), .integer(let right)): return left == right
    case (.string, .string): return try areEqual(left, right)
    case (.number(let left), .number(let right)): return left == right
    case (.namespace, .namespace), (.iterator, .iterator), (.loop, .loop), (.cycler, .cycler),
      (.function, .function):
      return try areEqual(left, right)
    default: return false
    }
  }

  private func isSequence(_ value: TemplateValue) -> Bool {
    switch value {
    case .string, .array, .dictionary, .range, .undefined: true
    default: false
    }
  }

  private func isIterable(_ value: TemplateValue) -> Bool {
    switch value {
    case .none, .bool, .integer, .unsigned, .number, .namespace, .cycler, .function: false
    default: true
    }
  }

  func isCallable(_ value: TemplateValue) -> Bool {
    switch value {
    // Undefined values have a method `__call__`, which fails.
    case .function, .loop, .undefined: true
    default: false
    }
  }

  private func isName(_ value: TemplateValue, of test: TemplateTest) -> Bool {
    guard case .string(let name) = value, name.utf8.count <= 40 else { return false }
    return test == .filter
      ? TemplateFilter(rawValue: name) != nil : TemplateTest(rawValue: name) != nil
  }
}
