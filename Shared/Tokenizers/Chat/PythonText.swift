/// What Python's `str` knows of characters.
enum PythonText {
  typealias Scalars = ArraySlice<Unicode.Scalar>

  static func stripped(
    _ scalars: Scalars,
    left: Bool = true,
    right: Bool = true,
    _ isStripped: (Unicode.Scalar) -> Bool = { $0.isPythonSpace }
  ) -> Scalars {
    var rest = scalars
    if left { while let first = rest.first, isStripped(first) { rest.removeFirst() } }
    if right { while let last = rest.last, isStripped(last) { rest.removeLast() } }
    return rest
  }

  // MARK: Case

  static func upper(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars { result += scalar.properties.uppercaseMapping }
    return result
  }

  static func lower(_ text: String) -> String {
    if text.utf8.allSatisfy({ $0 < 0x80 }) { return text.lowercased() }
    let scalars = Array(text.unicodeScalars)
    var result = ""
    for index in scalars.indices { result += lower(scalars, index) }
    return result
  }

  /// One character; a sigma that ends a word has a form of its own.
  private static func lower(_ scalars: [Unicode.Scalar], _ index: Int) -> String {
    guard scalars[index] == "\u{3A3}" else { return scalars[index].properties.lowercaseMapping }
    var before = index - 1
    while before >= 0, scalars[before].properties.isCaseIgnorable { before -= 1 }
    var after = index + 1
    while after < scalars.count, scalars[after].properties.isCaseIgnorable { after += 1 }
    let isFinal =
      before >= 0 && scalars[before].properties.isCased
      && !(after < scalars.count && scalars[after].properties.isCased)
    return isFinal ? "\u{3C2}" : "\u{3C3}"
  }

  static func capitalized(_ text: String) -> String {
    let scalars = Array(text.unicodeScalars)
    guard let first = scalars.first else { return "" }
    var result = first.properties.titlecaseMapping
    for index in scalars.indices.dropFirst() { result += lower(scalars, index) }
    return result
  }

  static func title(_ text: String) -> String {
    let scalars = Array(text.unicodeScalars)
    var result = ""
    var isInWord = false
    for index in scalars.indices {
      result += isInWord ? lower(scalars, index) : scalars[index].properties.titlecaseMapping
      isInWord = scalars[index].properties.isCased
    }
    return result
  }

  static func swappedCase(_ text: String) -> String {
    let scalars = Array(text.unicodeScalars)
    var result = ""
    for index in scalars.indices {
      let properties = scalars[index].properties
      if properties.isUppercase {
        result += lower(scalars, index)
      } else {
        result += properties.isLowercase ? properties.uppercaseMapping : String(scalars[index])
      }
    }
    return result
  }

  static func caseFolded(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\u{DF}", "\u{1E9E}": result += "ss"
      case "\u{3C2}", "\u{3A3}": result += "\u{3C3}"
      default: result += scalar.properties.lowercaseMapping
      }
    }
    return result
  }

  // MARK: Classes

  static func isAlphabetic(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
    default: false
    }
  }

  static func isDecimal(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.generalCategory == .decimalNumber
  }

  static func isDigit(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.numericType == .digit || scalar.properties.numericType == .decimal
  }

  static func isNumeric(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.numericType != nil }

  static func isAlphanumeric(_ scalar: Unicode.Scalar) -> Bool {
    isAlphabetic(scalar) || isNumeric(scalar)
  }

  static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII { return (0x20..<0x7F).contains(scalar.value) }
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
      .paragraphSeparator, .spaceSeparator:
      return false
    default: return true
    }
  }

  /// Whether there are cased characters and all are of one case.
  static func hasCase(_ text: String, upper: Bool) -> Bool {
    var hasCased = false
    for scalar in text.unicodeScalars {
      let properties = scalar.properties
      if properties.generalCategory == .titlecaseLetter { return false }
      if upper ? properties.isLowercase : properties.isUppercase { return false }
      if upper ? properties.isUppercase : properties.isLowercase { hasCased = true }
    }
    return hasCased
  }

  static func isTitle(_ text: String) -> Bool {
    var hasCased = false
    var isInWord = false
    for scalar in text.unicodeScalars {
      let properties = scalar.properties
      if properties.isUppercase || properties.generalCategory == .titlecaseLetter {
        if isInWord { return false }
        isInWord = true
        hasCased = true
      } else if properties.isLowercase {
        guard isInWord else { return false }
        hasCased = true
      } else {
        isInWord = false
      }
    }
    return hasCased
  }

  // MARK: Lines

  static func isLineEnd(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029: true
    default: false
    }
  }

  static func lines(_ text: String, keepsEnds: Bool = false) -> [String] {
    let scalars = Array(text.unicodeScalars)
    var lines: [String] = []
    var start = 0
    var index = 0
    while index < scalars.count {
      guard isLineEnd(scalars[index]) else {
        index += 1
        continue
      }
      let end = index
      index += 1
      if scalars[end] == "\r", index < scalars.count, scalars[index] == "\n" { index += 1 }
      lines.append(String(scalars: scalars[start..<(keepsEnds ? index : end)]))
      start = index
    }
    if start < scalars.count { lines.append(String(scalars: scalars[start...])) }
    return lines
  }
}
