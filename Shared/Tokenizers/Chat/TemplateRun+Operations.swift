/// Arithmetic, comparison, and values as text.
extension TemplateRun {
  func negated(_ value: TemplateValue) throws(TokenizerError) -> TemplateValue {
    if let integer = value.integral, integer != .min { return .integer(-integer) }
    guard let number = value.numeric else { throw failure("\(value.kind) has no negative") }
    return .number(-number)
  }

  mutating func arithmetic(
    _ operation: TemplateExpression.Arithmetic,
    _ left: TemplateValue,
    _ right: TemplateValue
  ) throws(TokenizerError) -> TemplateValue {
    switch (operation, left, right) {
    case (.add, .string(let left), .string(let right)):
      try pay(building: left.utf8.count + right.utf8.count)
      return .string(left + right)
    case (.add, .array(let left), .array(let right)):
      try pay(building: (left.elements.count + right.elements.count) * Self.elementBytes)
      return .array(TemplateArray(left.elements + right.elements))
    case (.multiply, .string(let string), let count), (.multiply, let count, .string(let string)):
      guard let count = count.integral else { break }
      try pay(building: try size(string.utf8.count, times: count))
      return .string(String(repeating: string, count: max(0, count)))
    case (.multiply, .array(let array), let count), (.multiply, let count, .array(let array)):
      guard let count = count.integral else { break }
      try pay(building: try size(array.elements.count * Self.elementBytes, times: count))
      return .array(
        TemplateArray((0..<max(0, count)).flatMap { _ in array.elements })
      )
    default: break
    }
    for case .undefined(let name) in [left, right] { throw failure("\"\(name)\" is undefined") }
    if let left = left.integral, let right = right.integral {
      return try arithmetic(operation, left, right)
    }
    guard let left = left.numeric, let right = right.numeric else {
      throw failure("\"\(operation.rawValue)\" does not go with \(left.kind) and \(right.kind)")
    }
    switch operation {
    case .add: return .number(left + right)
    case .subtract: return .number(left - right)
    case .multiply: return .number(left * right)
    case .floorDivide, .modulo:
      guard right != 0 else { throw failure("division by zero") }
      let quotient = (left / right).rounded(.down)
      return .number(operation == .modulo ? left - quotient * right : quotient)
    }
  }

  /// What a repetition takes; so large that nobody can pay for it, if it does not fit.
  private func size(_ bytes: Int, times count: Int) throws(TokenizerError) -> Int {
    let (size, overflow) = max(bytes, 1).multipliedReportingOverflow(by: max(0, count))
    return overflow ? .max : size
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
    case .floorDivide, .modulo:
      guard right != 0 else { throw failure("division by zero") }
      let quotient = left.dividedReportingOverflow(by: right)
      let remainder = left.remainderReportingOverflow(dividingBy: right).partialValue
      // Python rounds down, so that the remainder has the divisor's sign.
      let isAdjusted = remainder != 0 && (remainder < 0) != (right < 0)
      result =
        operation == .modulo
        ? (isAdjusted ? remainder + right : remainder, quotient.overflow)
        : (quotient.partialValue - (isAdjusted ? 1 : 0), quotient.overflow)
    }
    guard !result.overflow else { throw failure("a number is too large") }
    return .integer(result.partialValue)
  }

  mutating func compare(
    _ left: TemplateValue,
    _ comparison: TemplateExpression.Comparison,
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

  private mutating func areEqual(
    _ left: TemplateValue,
    _ right: TemplateValue
  ) throws(TokenizerError) -> Bool {
    try pay(work: 1)
    switch (left, right) {
    case (.undefined, .undefined), (.none, .none): return true
    case (.string(let left), .string(let right)):
      try pay(work: min(left.utf8.count, right.utf8.count))
      return left.hasSameScalars(as: right)
    case (.array(let left), .array(let right)):
      guard left.elements.count == right.elements.count else { return false }
      for (left, right) in zip(left.elements, right.elements)
      where try !areEqual(left, right) { return false }
      return true
    case (.dictionary(let left), .dictionary(let right)):
      guard left.members.count == right.members.count else { return false }
      for (key, value) in left.members {
        try pay(work: right.members.count)
        guard let other = right[key], try areEqual(value, other) else { return false }
      }
      return true
    case (.namespace(let left), .namespace(let right)): return left === right
    default:
      if let left = left.integral, let right = right.integral { return left == right }
      if let left = left.numeric, let right = right.numeric { return left == right }
      return false
    }
  }

  private mutating func precedes(
    _ left: TemplateValue,
    _ right: TemplateValue,
    orIsEqual: Bool = false
  ) throws(TokenizerError) -> Bool {
    if case .string(let left) = left, case .string(let right) = right {
      try pay(work: min(left.utf8.count, right.utf8.count))
      // The order of UTF-8 is the order of scalars.
      return left.utf8.lexicographicallyPrecedes(right.utf8)
        || (orIsEqual && left.hasSameScalars(as: right))
    }
    if case .array(let left) = left, case .array(let right) = right {
      for (left, right) in zip(left.elements, right.elements)
      where try !areEqual(left, right) { return try precedes(left, right) }
      let (leftCount, rightCount) = (left.elements.count, right.elements.count)
      return leftCount < rightCount || (orIsEqual && leftCount == rightCount)
    }
    guard let leftNumber = left.numeric, let rightNumber = right.numeric else {
      throw failure("\(left.kind) and \(right.kind) have no order")
    }
    return leftNumber < rightNumber || (orIsEqual && leftNumber == rightNumber)
  }

  private mutating func contains(
    _ container: TemplateValue,
    _ value: TemplateValue
  ) throws(TokenizerError) -> Bool {
    switch (container, value) {
    case (.string(let text), .string(let part)):
      try pay(work: text.utf8.count + part.utf8.count)
      return Self.find(Array(part.utf8), in: Array(text.utf8))
    case (.array(let array), _):
      for element in array.elements where try areEqual(element, value) { return true }
      return false
    case (.dictionary(let dictionary), .string(let key)):
      try pay(work: dictionary.members.count)
      return dictionary[key] != nil
    case (.dictionary, _), (.undefined, _): return false
    default: throw failure("\(value.kind) cannot be in \(container.kind)")
    }
  }

  /// Whether `text` has `part`, in linear time (Knuth, Morris and Pratt, 1977).
  private static func find(_ part: [UInt8], in text: [UInt8]) -> Bool {
    if part.isEmpty { return true }
    var fallback = [0]
    var matched = 0
    for index in part.indices.dropFirst() {
      while matched > 0, part[index] != part[matched] { matched = fallback[matched - 1] }
      if part[index] == part[matched] { matched += 1 }
      fallback.append(matched)
    }
    matched = 0
    for byte in text {
      while matched > 0, byte != part[matched] { matched = fallback[matched - 1] }
      if byte == part[matched] { matched += 1 }
      if matched == part.count { return true }
    }
    return false
  }

  // MARK: Text

  /// Python's `str`: what `{{ … }}` writes.
  mutating func text(of value: TemplateValue) throws(TokenizerError) -> String {
    switch value {
    case .string(let string): return string
    case .undefined: return ""
    default:
      var text = ""
      try appendRepresentation(of: value, to: &text)
      return text
    }
  }

  mutating func append(_ part: String, to text: inout String) throws(TokenizerError) {
    try pay(building: part.utf8.count)
    text += part
  }

  /// Python's `repr`.
  private mutating func appendRepresentation(
    of value: TemplateValue,
    to text: inout String
  ) throws(TokenizerError) {
    switch value {
    case .undefined: try append("Undefined", to: &text)
    case .none: try append("None", to: &text)
    case .bool(let bool): try append(bool ? "True" : "False", to: &text)
    case .integer(let integer): try append(String(integer), to: &text)
    case .number(let number): try append(String(number), to: &text)
    case .string(let string): try append(quoted(string), to: &text)
    case .array(let array):
      try append("[", to: &text)
      for (index, element) in array.elements.enumerated() {
        if index > 0 { try append(", ", to: &text) }
        try appendRepresentation(of: element, to: &text)
      }
      try append("]", to: &text)
    case .dictionary(let dictionary):
      try append("{", to: &text)
      for (index, member) in dictionary.members.enumerated() {
        if index > 0 { try append(", ", to: &text) }
        try append(quoted(member.key), to: &text)
        try append(": ", to: &text)
        try appendRepresentation(of: member.value, to: &text)
      }
      try append("}", to: &text)
    case .namespace: throw failure("a namespace cannot be written")
    }
  }

  /// A string as Python writes it in a list.
  private mutating func quoted(_ string: String) throws(TokenizerError) -> String {
    try pay(work: string.utf8.count * 6)
    let scalars = string.unicodeScalars
    let quote: Unicode.Scalar = scalars.contains("'") && !scalars.contains("\"") ? "\"" : "'"
    var text: [UInt8] = []
    text.append(scalar: quote.value)
    for scalar in scalars {
      switch scalar {
      case "\n": text += Array("\\n".utf8)
      case "\r": text += Array("\\r".utf8)
      case "\t": text += Array("\\t".utf8)
      case "\\", quote:
        text.append(UInt8(ascii: "\\"))
        text.append(scalar: scalar.value)
      default:
        if Self.isPrintable(scalar) {
          text.append(scalar: scalar.value)
        } else {
          let (mark, width) =
            scalar.value < 0x100 ? ("x", 2) : scalar.value < 0x10000 ? ("u", 4) : ("U", 8)
          let digits = String(scalar.value, radix: 16)
          let zeros = String(repeating: "0", count: width - digits.count)
          text += Array("\\\(mark)\(zeros)\(digits)".utf8)
        }
      }
    }
    text.append(scalar: quote.value)
    return String(decoding: text, as: UTF8.self)
  }

  private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII { return (0x20..<0x7F).contains(scalar.value) }
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
      .paragraphSeparator, .spaceSeparator:
      return false
    default: return true
    }
  }
}
