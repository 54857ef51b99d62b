import JSON

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Operators, with Python's meaning.
extension TemplateRun {
  private func overflow() -> TokenizerError { failure("an integer is over 64 bits") }

  func negated(_ value: TemplateValue) throws(TokenizerError) -> TemplateValue {
    if let integer = value.integral {
      guard integer != .min else { throw overflow() }
      return .integer(-integer)
    }
    return .number(-(try number(value)))
  }

  func positive(_ value: TemplateValue) throws(TokenizerError) -> TemplateValue {
    if let integer = value.integral { return .integer(integer) }
    if case .unsigned = value { return value }
    return .number(try number(value))
  }

  func number(_ value: TemplateValue) throws(TokenizerError) -> Double {
    if case .undefined(let why) = value { throw failure(why.cause) }
    guard let number = value.numeric else { throw failure("\(value.kind) is not a number") }
    return number
  }

  mutating func arithmetic(
    _ operation: TemplateExpression.Arithmetic,
    _ left: TemplateValue,
    _ right: TemplateValue
  ) throws(TokenizerError) -> TemplateValue {
    if operation == .modulo, case .string(let format) = left {
      return .string(try formatted(format, with: right))
    }
    if case .undefined(let why) = left { throw failure(why.cause) }
    if case .undefined(let why) = right { throw failure(why.cause) }
    if let left = left.integral, let right = right.integral {
      return try arithmetic(operation, left, right)
    }
    if let left = left.numeric, let right = right.numeric {
      return try arithmetic(operation, left, right)
    }
    switch (operation, left, right) {
    case (.add, .string(let left), .string(let right)):
      try pay(building: left.utf8.count + right.utf8.count)
      return .string(left + right)
    case (.add, .array(let left), .array(let right)) where left.isList == right.isList:
      try pay(building: (left.elements.count + right.elements.count) * Self.elementBytes)
      return try array(left.elements + right.elements, left.isList ? .list : .tuple)
    case (.multiply, _, _):
      if let count = right.integral, let result = try repeated(left, count) { return result }
      if let count = left.integral, let result = try repeated(right, count) { return result }
    default: break
    }
    throw failure(
      "the operator \(operation.rawValue) cannot join \(left.kind) and \(right.kind)"
    )
  }

  private mutating func repeated(
    _ value: TemplateValue,
    _ count: Int
  ) throws(TokenizerError) -> TemplateValue? {
    let count = max(count, 0)
    func cost(_ bytes: Int) -> Int {
      let (product, overflow) = bytes.multipliedReportingOverflow(by: count)
      return overflow ? .max : product
    }
    switch value {
    case .string(let string):
      try pay(building: cost(string.utf8.count))
      return .string(string.isEmpty ? "" : String(repeating: string, count: count))
    case .array(let array):
      try pay(building: cost(array.elements.count * Self.elementBytes))
      if array.elements.isEmpty { return .array(TemplateArray([], array.kind)) }
      var elements: [TemplateValue] = []
      elements.reserveCapacity(array.elements.count * count)
      for _ in 0..<count { elements += array.elements }
      return try self.array(elements, array.isList ? .list : .tuple)
    default: return nil
    }
  }

  private func arithmetic(
    _ operation: TemplateExpression.Arithmetic,
    _ left: Int,
    _ right: Int
  ) throws(TokenizerError) -> TemplateValue {
    let result: (partialValue: Int, overflow: Bool)
    switch operation {
    case .add: result = left.addingReportingOverflow(right)
    case .subtract: result = left.subtractingReportingOverflow(right)
    case .multiply: result = left.multipliedReportingOverflow(by: right)
    case .divide:
      guard right != 0 else { throw failure("division by zero") }
      return .number(Double(left) / Double(right))
    case .floorDivide, .modulo:
      guard right != 0 else { throw failure("division by zero") }
      if right == -1 {
        guard left != .min else { throw overflow() }
        return .integer(operation == .modulo ? 0 : -left)
      }
      let (quotient, remainder) = left.quotientAndRemainder(dividingBy: right)
      let isAdjusted = remainder != 0 && (remainder < 0) != (right < 0)
      if operation == .modulo { return .integer(isAdjusted ? remainder + right : remainder) }
      return .integer(isAdjusted ? quotient - 1 : quotient)
    case .power: return try power(left, right)
    }
    guard !result.overflow else { throw overflow() }
    return .integer(result.partialValue)
  }

  private func power(_ base: Int, _ exponent: Int) throws(TokenizerError) -> TemplateValue {
    if exponent < 0 {
      guard base != 0 else { throw failure("0 cannot be raised to a negative power") }
      return .number(pow(Double(base), Double(exponent)))
    }
    var result = 1
    var square = base
    var rest = exponent
    while rest > 0 {
      if rest & 1 == 1 {
        let (product, isOver) = result.multipliedReportingOverflow(by: square)
        guard !isOver else { throw overflow() }
        result = product
      }
      rest >>= 1
      if rest > 0 {
        let (product, isOver) = square.multipliedReportingOverflow(by: square)
        guard !isOver else { throw overflow() }
        square = product
      }
    }
    return .integer(result)
  }

  private func arithmetic(
    _ operation: TemplateExpression.Arithmetic,
    _ left: Double,
    _ right: Double
  ) throws(TokenizerError) -> TemplateValue {
    switch operation {
    case .add: return .number(left + right)
    case .subtract: return .number(left - right)
    case .multiply: return .number(left * right)
    case .power:
      guard left != 0 || right >= 0 else {
        throw failure("0 cannot be raised to a negative power")
      }
      guard left >= 0 || right == right.rounded() || !left.isFinite else {
        throw failure("a power of a negative number is complex")
      }
      let result = pow(left, right)
      guard result.isFinite || !left.isFinite || !right.isFinite else {
        throw failure("a number is too large")
      }
      return .number(result)
    case .divide:
      guard right != 0 else { throw failure("division by zero") }
      return .number(left / right)
    case .floorDivide, .modulo:
      guard right != 0 else { throw failure("division by zero") }
      // As CPython's float_divmod.
      var remainder = left.truncatingRemainder(dividingBy: right)
      var quotient = (left - remainder) / right
      if remainder != 0 {
        if (right < 0) != (remainder < 0) {
          remainder += right
          quotient -= 1
        }
      } else {
        remainder = Double(signOf: right, magnitudeOf: 0)
      }
      if operation == .modulo { return .number(remainder) }
      guard quotient != 0 else { return .number(Double(signOf: left / right, magnitudeOf: 0)) }
      var floor = quotient.rounded(.down)
      if quotient - floor > 0.5 { floor += 1 }
      return .number(floor)
    }
  }

  // MARK: Comparisons

  mutating func compare(
    _ comparison: TemplateExpression.Comparison,
    _ left: TemplateValue,
    _ right: TemplateValue
  ) throws(TokenizerError) -> Bool {
    switch comparison {
    case .equal: return try areEqual(left, right)
    case .notEqual: return try !areEqual(left, right)
    case .isIn: return try contains(right, left)
    case .isNotIn: return try !contains(right, left)
    case .less: return try precedes(left, right)
    case .greater: return try precedes(right, left)
    case .lessOrEqual: return try precedes(left, right, orIsEqual: true)
    case .greaterOrEqual: return try precedes(right, left, orIsEqual: true)
    }
  }

  mutating func areEqual(
    _ left: TemplateValue,
    _ right: TemplateValue
  ) throws(TokenizerError) -> Bool {
    try pay(work: 1)
    switch (left, right) {
    case (.undefined, .undefined), (.none, .none): return true
    case (.string(let left), .string(let right)):
      try pay(work: min(left.utf8.count, right.utf8.count))
      return left.isSame(right)
    case (.array(let left), .array(let right)):
      guard left.isList == right.isList else { return false }
      return try areEqual(left.elements, right.elements)
    case (.dictionary(let left), .dictionary(let right)):
      guard left.members.count == right.members.count else { return false }
      for (key, value) in left.members {
        try pay(work: right.members.count)
        guard let other = right[try self.key(key)], try areEqual(value, other) else {
          return false
        }
      }
      return true
    case (.range(let left), .range(let right)):
      return try areEqual(left.elements, right.elements)
    case (.view(let left), .view(let right)):
      guard left.kind != .values, right.kind != .values, left.elements.count == right.elements.count
      else { return false }
      for element in left.elements where try !contains(.view(right), element) { return false }
      return true
    case (.namespace(let left), .namespace(let right)): return left === right
    case (.iterator(let left), .iterator(let right)): return left === right
    case (.loop(let left), .loop(let right)): return left === right
    case (.cycler(let left), .cycler(let right)): return left === right
    case (.function(let left), .function(let right)): return try areEqual(left, right)
    default:
      if let left = left.integral, let right = right.integral { return left == right }
      if let left = left.numeric, let right = right.numeric { return left == right }
      return false
    }
  }

  private mutating func areEqual(
    _ left: TemplateFunction,
    _ right: TemplateFunction
  ) throws(TokenizerError) -> Bool {
    switch (left, right) {
    case (.global(let left), .global(let right)): return left == right
    case (.macro(let left), .macro(let right)): return left === right
    case (.joiner(let left), .joiner(let right)): return left === right
    default: return false
    }
  }

  private mutating func areEqual(
    _ left: [TemplateValue],
    _ right: [TemplateValue]
  ) throws(TokenizerError) -> Bool {
    guard left.count == right.count else { return false }
    for (left, right) in zip(left, right) where try !areEqual(left, right) { return false }
    return true
  }

  mutating func precedes(
    _ left: TemplateValue,
    _ right: TemplateValue,
    orIsEqual: Bool = false
  ) throws(TokenizerError) -> Bool {
    switch (left, right) {
    case (.undefined(let why), _), (_, .undefined(let why)): throw failure(why.cause)
    case (.string(let left), .string(let right)):
      try pay(work: min(left.utf8.count, right.utf8.count))
      // The order of UTF-8 is the order of scalars.
      return left.utf8.lexicographicallyPrecedes(right.utf8) || (orIsEqual && left.isSame(right))
    case (.array(let left), .array(let right)) where left.isList == right.isList:
      for (left, right) in zip(left.elements, right.elements)
      where try !areEqual(left, right) {
        return try precedes(left, right, orIsEqual: orIsEqual)
      }
      let (leftCount, rightCount) = (left.elements.count, right.elements.count)
      return leftCount < rightCount || (orIsEqual && leftCount == rightCount)
    default: break
    }
    if let left = left.integral, let right = right.integral {
      return left < right || (orIsEqual && left == right)
    }
    guard let leftNumber = left.numeric, let rightNumber = right.numeric else {
      throw failure("\(left.kind) and \(right.kind) have no order")
    }
    return leftNumber < rightNumber || (orIsEqual && leftNumber == rightNumber)
  }

  mutating func contains(
    _ container: TemplateValue,
    _ value: TemplateValue
  ) throws(TokenizerError) -> Bool {
    switch container {
    case .string(let text):
      guard case .string(let part) = value else { break }
      try pay(building: part.utf8.count * ByteSearch.costPerByte)
      try pay(work: text.utf8.count)
      return ByteSearch(Array(part.utf8)).first(in: Array(text.utf8)) != nil
    case .dictionary(let dictionary):
      try pay(work: dictionary.members.count)
      return dictionary[try key(value)] != nil
    case .view(let view) where view.kind == .keys:
      try pay(work: view.dictionary.members.count)
      return view.dictionary[try key(value)] != nil
    case .iterator(let iterator):
      while let element = try iterator.next(&self) {
        if try areEqual(element, value) { return true }
      }
      return false
    case .array, .range, .view, .undefined:
      for element in try elements(of: container) where try areEqual(element, value) { return true }
      return false
    default: break
    }
    throw failure("\(value.kind) cannot be in \(container.kind)")
  }

  // MARK: Slices

  mutating func slice(
    _ value: TemplateValue,
    _ from: TemplateValue,
    _ to: TemplateValue,
    _ step: TemplateValue
  ) throws(TokenizerError) -> TemplateValue {
    if case .undefined(let why) = value { throw failure(why.cause) }
    let count: Int
    switch value {
    case .string, .array, .range: count = try self.count(of: value) ?? 0
    default: throw failure("\(value.kind) has no slices")
    }
    func bound(_ value: TemplateValue) throws(TokenizerError) -> Int? {
      value.isNone ? nil : try integer(value, "a bound of a slice")
    }
    let wanted = try bound(step) ?? 1
    guard wanted != 0 else { throw failure("the step of a slice is 0") }
    // Longer steps end as soon.
    let step = min(max(wanted, -count - 1), count + 1)
    let isForward = step > 0
    let (lowest, highest) = isForward ? (0, count) : (-1, count - 1)
    func position(_ index: Int?, _ otherwise: Int) -> Int {
      guard let index else { return otherwise }
      return min(max(index < 0 ? index + count : index, lowest), highest)
    }
    let start = position(try bound(from), isForward ? 0 : count - 1)
    let end = position(try bound(to), isForward ? count : -1)
    if case .range(let range) = value {
      let (newStep, isOver) = range.step.multipliedReportingOverflow(by: step)
      guard !isOver,
        let part = TemplateRange(range[start], range[end], newStep)
      else { throw failure("a slice of a range is too large") }
      return .range(part)
    }
    let indices = Array(stride(from: start, to: end, by: step))
    try pay(building: indices.count * Self.elementBytes)
    if case .array(let array) = value {
      return try self.array(indices.map { array.elements[$0] }, array.isList ? .list : .tuple)
    }
    guard case .string(let string) = value else { return .none }
    let scalars = Array(string.unicodeScalars)
    return .string(String(scalars: indices.map { scalars[$0] }))
  }
}
