import JSON

/// What `%` and `format` say of how a value is written.
struct FormatSpecification {
  var fill: Unicode.Scalar = " "
  /// Where the value stands in its field: `<`, `>`, `=` or `^`.
  var alignment: Unicode.Scalar?
  /// How positive numbers begin: `+`, `-` for nothing, or a space.
  var sign: Unicode.Scalar = "-"
  var isAlternate = false
  /// What stands between thousands: `,` or `_`.
  var grouping: Unicode.Scalar?
  var width = 0
  var precision: Int?
  var type: Unicode.Scalar?

  /// The widest field; Python has no limit, but no prompt needs more.
  static let widthMax = 1 << 16
}

/// Formatting with `%` and `format`.
extension TemplateRun {
  /// The values of a `%` format, in order or, for a field with a name, that one.
  private struct Supply {
    var values: [TemplateValue]
    var named: TemplateValue?
    var used = 0

    mutating func next(_ run: TemplateRun) throws(TokenizerError) -> TemplateValue {
      if let named { return named }
      guard used < values.count else { throw run.failure("not enough values for a format") }
      used += 1
      return values[used - 1]
    }
  }

  // MARK: %

  /// Python's `format % values`.
  mutating func formatted(
    _ format: String,
    with values: TemplateValue
  ) throws(TokenizerError) -> String {
    try pay(work: format.utf8.count)
    var supply = Supply(values: [values])
    // Python takes whatever has elements by key for names, and then does not miss those unused.
    var mayBeUnused = false
    switch values {
    case .array(let array) where !array.isList: supply.values = array.elements
    case .array, .dictionary, .undefined, .range: mayBeUnused = true
    default: break
    }
    var text = ""
    let scalars = Array(format.unicodeScalars)
    var index = 0
    while index < scalars.count {
      let start = index
      while index < scalars.count, scalars[index] != "%" { index += 1 }
      try append(String(scalars: scalars[start..<index]), to: &text)
      guard index < scalars.count else { break }
      index += 1
      if index < scalars.count, scalars[index] == "%" {
        try append("%", to: &text)
        index += 1
        continue
      }
      supply.named = nil
      if index < scalars.count, scalars[index] == "(" {
        supply.named = try named(scalars, &index, values)
        mayBeUnused = true
      }
      let specification = try specification(scalars, &index, &supply)
      if specification.type == "%" {
        try append("%", to: &text)
      } else {
        try append(try percent(try supply.next(self), specification), to: &text)
      }
    }
    guard supply.used >= supply.values.count || mayBeUnused else {
      throw failure("not all values of a format were used")
    }
    return text
  }

  private mutating func named(
    _ scalars: [Unicode.Scalar],
    _ index: inout Int,
    _ values: TemplateValue
  ) throws(TokenizerError) -> TemplateValue {
    let start = index + 1
    var depth = 0
    repeat {
      if scalars[index] == "(" { depth += 1 }
      if scalars[index] == ")" { depth -= 1 }
      index += 1
    } while depth > 0 && index < scalars.count
    guard depth == 0 else { throw failure("a name in a format does not end") }
    guard case .dictionary(let dictionary) = values else {
      throw failure("a format with names needs a dictionary")
    }
    let name = String(scalars: scalars[start..<(index - 1)])
    guard let value = dictionary[name] else {
      throw failure("the dictionary of a format has no \"\(name.excerpt(40))\"")
    }
    return value
  }

  private mutating func specification(
    _ scalars: [Unicode.Scalar],
    _ index: inout Int,
    _ supply: inout Supply
  ) throws(TokenizerError) -> FormatSpecification {
    var result = FormatSpecification()
    func current() -> Unicode.Scalar? { index < scalars.count ? scalars[index] : nil }
    flags: while let flag = current() {
      switch flag {
      case "-": result.alignment = "<"
      case "+": result.sign = "+"
      case " ": if result.sign != "+" { result.sign = " " }
      case "#": result.isAlternate = true
      case "0": if result.alignment == nil { result.fill = "0" }
      default: break flags
      }
      index += 1
    }
    if result.alignment == "<" { result.fill = " " }
    if current() == "*" {
      index += 1
      let width = try integer(try supply.next(self), "the width of a format")
      if width < 0 { result.alignment = "<" }
      result.width = try checked(width == .min ? .max : abs(width))
    } else {
      result.width = try digits(scalars, &index) ?? 0
    }
    if current() == "." {
      index += 1
      if current() == "*" {
        index += 1
        result.precision = try checked(max(0, try integer(try supply.next(self), "a precision")))
      } else {
        result.precision = try digits(scalars, &index) ?? 0
      }
    }
    while let modifier = current(), modifier == "l" || modifier == "h" || modifier == "L" {
      index += 1
    }
    guard let type = current() else { throw failure("a format is incomplete") }
    result.type = type
    index += 1
    return result
  }

  private func checked(_ width: Int) throws(TokenizerError) -> Int {
    guard width <= FormatSpecification.widthMax else {
      throw failure(
        "a format is wider than \(FormatSpecification.widthMax)",
        .limitExceeded
      )
    }
    return width
  }

  private func digits(
    _ scalars: [Unicode.Scalar],
    _ index: inout Int
  ) throws(TokenizerError) -> Int? {
    var value: Int?
    while index < scalars.count, ("0"..."9").contains(scalars[index]) {
      value = try checked((value ?? 0) * 10 + Int(scalars[index].value) - 0x30)
      index += 1
    }
    return value
  }

  private mutating func percent(
    _ value: TemplateValue,
    _ specification: FormatSpecification
  ) throws(TokenizerError) -> String {
    var specification = specification
    if specification.fill == "0" { specification.alignment = "=" }
    let type = specification.type ?? "s"
    switch type {
    case "s", "r", "a":
      var text = type == "s" ? try text(of: value) : try representation(of: value)
      if type == "a" { text = escapedASCII(text) }
      specification.type = "s"
      specification.fill = " "
      if specification.alignment != "<" { specification.alignment = ">" }
      return try padded(cut(text, specification.precision), specification)
    case "d", "i", "u":
      guard !value.isUndefined, value.numeric != nil else {
        throw failure("%\(type) needs a number, not \(value.kind)")
      }
      specification.type = "d"
      var number = value
      if case .number(let fraction) = value { number = .integer(try truncated(fraction)) }
      return try formatted(number, specification, isPercent: true)
    case "x", "X", "o":
      guard value.integral != nil else {
        throw failure("%\(type) needs an integer, not \(value.kind)")
      }
      return try formatted(value, specification, isPercent: true)
    case "e", "E", "f", "F", "g", "G":
      specification.precision = specification.precision ?? 6
      return try formatted(.number(try number(value)), specification, isPercent: true)
    case "c":
      specification.alignment = specification.alignment == "<" ? "<" : ">"
      specification.fill = " "
      if case .string(let string) = value, string.unicodeScalars.count == 1 {
        return try padded(string, specification)
      }
      guard let code = value.integral,
        let scalar = UInt32(exactly: code).flatMap(Unicode.Scalar.init)
      else { throw failure("%c needs a character") }
      return try padded(String(scalar), specification)
    default: throw failure("the format %\(type) is not supported")
    }
  }

  private func escapedASCII(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      if scalar.isASCII {
        result.unicodeScalars.append(scalar)
      } else {
        let (mark, width) =
          scalar.value < 0x100 ? ("x", 2) : scalar.value < 0x10000 ? ("u", 4) : ("U", 8)
        result += "\\\(mark)\(Self.hexadecimal(scalar.value, width))"
      }
    }
    return result
  }

  func truncated(_ number: Double) throws(TokenizerError) -> Int {
    guard let integer = Int(exactly: number.rounded(.towardZero)) else {
      throw failure("a number is not an integer of 64 bits")
    }
    return integer
  }

  // MARK: Fields

  func cut(_ text: String, _ count: Int?) -> String {
    guard let count else { return text }
    return String(text.unicodeScalars.prefix(count))
  }

  mutating func padded(
    _ text: String,
    _ specification: FormatSpecification,
    signWidth: Int = 0
  ) throws(TokenizerError) -> String {
    let missing = specification.width - text.unicodeScalars.count
    guard missing > 0 else { return text }
    try pay(building: missing * 4 + text.utf8.count)
    func fill(_ count: Int) -> String {
      String(repeating: String(specification.fill), count: count)
    }
    switch specification.alignment ?? "<" {
    case ">": return fill(missing) + text
    case "^": return fill(missing / 2) + text + fill(missing - missing / 2)
    case "=":
      let sign = text.unicodeScalars.prefix(signWidth)
      return String(sign) + fill(missing) + String(text.unicodeScalars.dropFirst(signWidth))
    default: return text + fill(missing)
    }
  }

  /// A number as `format` writes it.
  mutating func formatted(
    _ value: TemplateValue,
    _ specification: FormatSpecification,
    isPercent: Bool = false
  ) throws(TokenizerError) -> String {
    var specification = specification
    let isNegative: Bool
    var prefix = ""
    var digits: String
    if let integer = value.integral, !isFractional(specification.type) {
      isNegative = integer < 0
      let radixes: [Unicode.Scalar: Int] = ["x": 16, "X": 16, "o": 8, "b": 2]
      let type = specification.type ?? "d"
      digits = String(integer.magnitude, radix: radixes[type] ?? 10, uppercase: type == "X")
      if radixes[type] != nil, specification.isAlternate { prefix = "0" + String(type) }
      if isPercent, let precision = specification.precision {
        digits = String(repeating: "0", count: max(0, precision - digits.utf8.count)) + digits
      }
    } else {
      let number = try number(value)
      isNegative = number.sign == .minus && !number.isNaN
      digits = try fraction(number, specification)
      // Infinity is padded with zeros by Python too.
    }
    if let grouping = specification.grouping { digits = grouped(digits, grouping) }
    let sign = isNegative ? "-" : specification.sign == "-" ? "" : String(specification.sign)
    if specification.alignment == nil { specification.alignment = ">" }
    return try padded(
      sign + prefix + digits,
      specification,
      signWidth: (sign + prefix).unicodeScalars.count
    )
  }

  private func isFractional(_ type: Unicode.Scalar?) -> Bool {
    guard let type else { return false }
    return ["e", "E", "f", "F", "g", "G", "%"].contains(type)
  }

  private mutating func fraction(
    _ number: Double,
    _ specification: FormatSpecification
  ) throws(TokenizerError) -> String {
    let isUpper = ["E", "F", "G"].contains(specification.type ?? "g")
    guard number.isFinite else {
      let word = number.isNaN ? "nan" : "inf"
      return isUpper ? word.uppercased() : word
    }
    let precision = specification.precision ?? 6
    try payForDigits(of: number)
    var text: String
    switch specification.type {
    case "f", "F": text = PythonNumbers.fixed(number, precision: precision)
    case "%": text = PythonNumbers.fixed(number * 100, precision: precision) + "%"
    case "e", "E": text = PythonNumbers.exponential(number, precision: precision)
    case "g", "G":
      text = PythonNumbers.general(
        number,
        precision: precision,
        keepsZeros: specification.isAlternate
      )
    default:
      guard let precision = specification.precision else {
        return PythonNumbers.representation(number.magnitude)
      }
      text = PythonNumbers.general(number, precision: precision)
      if !text.utf8.contains(UInt8(ascii: ".")), !text.utf8.contains(UInt8(ascii: "e")) {
        text += ".0"
      }
    }
    return isUpper ? text.uppercased() : text
  }

  /// Pays for all digits of a number, which are found in quadratic time.
  mutating func payForDigits(of number: Double) throws(TokenizerError) {
    let size = number == 0 ? 60 : 60 + Int(number.exponent.magnitude)
    try pay(work: size * size)
  }

  private func grouped(_ digits: String, _ separator: Unicode.Scalar) -> String {
    let bytes = Array(digits.utf8)
    let whole = bytes.prefix { (0x30...0x39).contains($0) }.count
    var result = ""
    for index in 0..<bytes.count {
      if index > 0, index < whole, (whole - index) % 3 == 0 {
        result.unicodeScalars.append(separator)
      }
      result.unicodeScalars.append(Unicode.Scalar(bytes[index]))
    }
    return result
  }
}
