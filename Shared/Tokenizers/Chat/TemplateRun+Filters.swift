/// The filters that follow `|`.
extension TemplateRun {
  mutating func apply(
    _ filter: TemplateFilter,
    to value: TemplateValue,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    switch filter {
    case .capitalize, .center, .e, .escape, .forceescape, .format, .indent, .lower, .replace,
      .string, .striptags, .safe, .title, .trim, .truncate, .upper, .urlencode, .wordcount, .pprint:
      return try apply(textFilter: filter, to: value, arguments)
    case .abs, .float, .int, .round:
      return try apply(numberFilter: filter, to: value, arguments)
    case .map, .select, .reject, .selectattr, .rejectattr, .batch, .slice, .unique, .items,
      .reverse:
      return try apply(lazyFilter: filter, to: value, arguments)
    case .dictsort, .groupby, .join, .max, .min, .sort, .sum:
      return try apply(sequenceFilter: filter, to: value, arguments)
    case .tojson: return try json(value, arguments)
    case .default, .d:
      let values = try bind(arguments, "default", ["default_value", "boolean"])
      let isMissing = value.isUndefined || ((values[1]?.isTrue ?? false) && !value.isTrue)
      return isMissing ? values[0] ?? .string("") : value
    case .attr:
      let values = try bind(arguments, "attr", ["name"], required: 1)
      let name = try string(values[0] ?? .none, "the name of an attribute")
      if case .dictionary = value {
        let found = try attribute(name, of: value)
        if case .function(.method) = found { return found }
        return .undefined(.member(of: value.kind, name))
      }
      return try attribute(name, of: value)
    case .length, .count:
      _ = try bind(arguments, "length", [])
      guard let count = try count(of: value) else { throw failure("\(value.kind) has no length") }
      return .integer(count)
    case .list:
      _ = try bind(arguments, "list", [])
      return .list(try elements(of: value))
    case .first:
      _ = try bind(arguments, "first", [])
      return try first(of: value)
    case .last:
      _ = try bind(arguments, "last", [])
      return try last(of: value)
    }
  }

  private mutating func first(of value: TemplateValue) throws(TokenizerError) -> TemplateValue {
    let none = TemplateValue.undefined(.other("no first item, the sequence was empty"))
    switch value {
    case .iterator(let iterator): return try iterator.next(&self) ?? none
    case .string(let string):
      return string.unicodeScalars.first.map { .string(String($0)) } ?? none
    default: return try elements(of: value).first ?? none
    }
  }

  private mutating func last(of value: TemplateValue) throws(TokenizerError) -> TemplateValue {
    let none = TemplateValue.undefined(.other("no last item, the sequence was empty"))
    switch value {
    case .iterator: throw failure("an iterator cannot be reversed")
    case .string(let string):
      return string.unicodeScalars.last.map { .string(String($0)) } ?? none
    default: return try elements(of: value).last ?? none
    }
  }

  // MARK: Numbers

  private mutating func apply(
    numberFilter filter: TemplateFilter,
    to value: TemplateValue,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    switch filter {
    case .abs:
      _ = try bind(arguments, "abs", [])
      if let integer = value.integral {
        return integer < 0 ? try negated(value) : .integer(integer)
      }
      return .number(try number(value).magnitude)
    case .float:
      let values = try bind(arguments, "float", ["default"])
      if case .undefined(let why) = value { throw failure(why.cause) }
      let result: Double?
      if case .string(let text) = value {
        try pay(work: text.utf8.count)
        result = PythonNumbers.number(text)
      } else {
        result = value.numeric
      }
      return result.map(TemplateValue.number) ?? values[0] ?? .number(0)
    case .int:
      let values = try bind(arguments, "int", ["default", "base"])
      let base = try values[1].map { (value) throws(TokenizerError) in
        try integer(value, "the base of int")
      }
      return try integer(of: value, values[0] ?? .integer(0), base ?? 10)
    default:
      let values = try bind(arguments, "round", ["precision", "method"])
      var method = "common"
      if let value = values[1] {
        guard case .string(let name) = value, ["common", "ceil", "floor"].contains(name) else {
          throw failure("the method of round must be common, ceil or floor")
        }
        method = name
      }
      let precision = try values[0].map { (value) throws(TokenizerError) in
        try integer(value, "the precision of round")
      }
      return try rounded(value, precision ?? 0, method)
    }
  }

  private mutating func integer(
    of value: TemplateValue,
    _ otherwise: TemplateValue,
    _ base: Int
  ) throws(TokenizerError) -> TemplateValue {
    func truncated(_ number: Double) throws(TokenizerError) -> TemplateValue {
      number.isFinite ? .integer(try self.truncated(number)) : otherwise
    }
    switch value {
    case .undefined(let why): throw failure(why.cause)
    case .string(let text):
      try pay(work: text.utf8.count)
      if let integer = PythonNumbers.integer(text, base: base) { return .integer(integer) }
      guard let number = PythonNumbers.number(text) else { return otherwise }
      return try truncated(number)
    case .number(let number):
      // Python's int(inf) fails and is not caught by the filter at first, then it is.
      return try truncated(number)
    case .unsigned: return value
    default: return value.integral.map(TemplateValue.integer) ?? otherwise
    }
  }

  private mutating func rounded(
    _ value: TemplateValue,
    _ precision: Int,
    _ method: String
  ) throws(TokenizerError) -> TemplateValue {
    if method == "common" {
      if let integer = value.integral {
        return .integer(try rounded(integer, precision))
      }
      let number = try number(value)
      guard number.isFinite, precision < 400 else { return .number(number) }
      guard precision > -400 else { return .number(Double(signOf: number, magnitudeOf: 0)) }
      try payForDigits(of: number)
      let (exact, point) = PythonNumbers.exactDigits(number.magnitude)
      let (digits, newPoint) = PythonNumbers.rounded(exact, point, to: point + precision)
      guard !digits.isEmpty else { return .number(Double(signOf: number, magnitudeOf: 0)) }
      let text = String(decoding: digits.map { $0 + 0x30 }, as: UTF8.self)
      let magnitude = Double("\(text)e\(newPoint - digits.count)") ?? 0
      return .number(Double(signOf: number, magnitudeOf: magnitude))
    }
    let power = try arithmetic(.power, .integer(10), .integer(precision))
    let scaled = try arithmetic(.multiply, value, power)
    let number = try number(scaled).rounded(method == "ceil" ? .up : .down)
    guard number.isFinite else { throw failure("a number cannot be rounded") }
    return try arithmetic(.divide, .number(number), power)
  }

  private func rounded(_ integer: Int, _ precision: Int) throws(TokenizerError) -> Int {
    if precision >= 0 { return integer }
    if precision < -18 { return 0 }
    var unit = 1
    for _ in 0..<(-precision) { unit *= 10 }
    let (quotient, rest) = integer.magnitude.quotientAndRemainder(dividingBy: UInt(unit))
    let half = UInt(unit) / 2
    let isUp = rest > half || (rest == half && quotient % 2 == 1)
    let (magnitude, isOver) = (quotient + (isUp ? 1 : 0)).multipliedReportingOverflow(
      by: UInt(unit)
    )
    guard !isOver, let result = Int(exactly: magnitude) else {
      throw failure("an integer is over 64 bits")
    }
    return integer < 0 ? -result : result
  }
}
