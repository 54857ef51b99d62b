/// Numbers as Python writes and reads them.
enum PythonNumbers {
  /// Python's `repr` of a float: the shortest digits that name it, an exponent from 1e16 and below
  /// 1e-4.
  static func representation(_ number: Double) -> String {
    guard number.isFinite else { return number.isNaN ? "nan" : number < 0 ? "-inf" : "inf" }
    let sign = number.sign == .minus ? "-" : ""
    if number == 0 { return sign + "0.0" }
    let (digits, point) = shortestDigits(number.magnitude)
    if point > 16 || point < -3 { return sign + scientific(digits, exponent: point - 1) }
    return sign + plain(digits, point, fraction: 1)
  }

  /// The digits of Swift's description, which are the shortest too, and how many stand before the
  /// point.
  static func shortestDigits(_ number: Double) -> (digits: [UInt8], point: Int) {
    var digits: [UInt8] = []
    var point: Int?
    var exponent = 0
    let text = Array(number.description.utf8)
    for (index, byte) in text.enumerated() {
      if byte == UInt8(ascii: ".") {
        point = digits.count
      } else if byte == UInt8(ascii: "e") {
        exponent = Int(String(decoding: text[(index + 1)...], as: UTF8.self)) ?? 0
        break
      } else {
        digits.append(byte)
      }
    }
    var position = (point ?? digits.count) + exponent
    while digits.count > 1, digits.last == UInt8(ascii: "0") { digits.removeLast() }
    while digits.count > 1, digits.first == UInt8(ascii: "0") {
      digits.removeFirst()
      position -= 1
    }
    return (digits, position)
  }

  /// Digits without exponent, with at least `fraction` of them behind the point.
  static func plain(_ digits: [UInt8], _ point: Int, fraction: Int) -> String {
    let zero = UInt8(ascii: "0")
    var whole = point > 0 ? Array(digits.prefix(point)) : [zero]
    if point > digits.count { whole += [UInt8](repeating: zero, count: point - digits.count) }
    var rest = point > 0 ? Array(digits.dropFirst(point)) : digits
    if point < 0 { rest = [UInt8](repeating: zero, count: -point) + rest }
    if rest.count < fraction { rest += [UInt8](repeating: zero, count: fraction - rest.count) }
    if !rest.isEmpty { whole += [UInt8(ascii: ".")] + rest }
    return String(decoding: whole, as: UTF8.self)
  }

  static func scientific(_ digits: [UInt8], exponent: Int) -> String {
    var text = [digits[0]]
    if digits.count > 1 { text += [UInt8(ascii: ".")] + digits.dropFirst() }
    let size = String(exponent.magnitude)
    return String(decoding: text, as: UTF8.self) + (exponent < 0 ? "e-" : "e+")
      + (size.utf8.count < 2 ? "0" : "") + size
  }

  /// All digits of a number, which are finite in number, as are those of every binary fraction.
  ///
  /// At most 1,100 digits. Computed with decimal digits in an array: slow and simple.
  static func exactDigits(_ number: Double) -> (digits: [UInt8], point: Int) {
    if number == 0 { return ([0], 1) }
    var significand = number.significandBitPattern
    var exponent = Int(number.exponentBitPattern) - 1075
    if number.exponentBitPattern == 0 { exponent = -1074 } else { significand |= 1 << 52 }
    var digits: [UInt8] = String(significand).utf8.map { $0 - 0x30 }
    var point = digits.count
    while exponent > 0 {
      var carry: UInt8 = 0
      for index in digits.indices.reversed() {
        let value = digits[index] * 2 + carry
        digits[index] = value % 10
        carry = value / 10
      }
      if carry > 0 {
        digits.insert(carry, at: 0)
        point += 1
      }
      exponent -= 1
    }
    while exponent < 0 {
      var rest: UInt8 = 0
      for index in digits.indices {
        let value = rest * 10 + digits[index]
        digits[index] = value / 2
        rest = value % 2
      }
      if rest > 0 { digits.append(5) }
      if digits[0] == 0 {
        digits.removeFirst()
        point -= 1
      }
      exponent += 1
    }
    while digits.count > 1, digits.last == 0 { digits.removeLast() }
    return (digits, point)
  }

  /// Rounds exact digits to `count` of them, halves to even; one more if it carries.
  static func rounded(
    _ digits: [UInt8],
    _ point: Int,
    to count: Int
  ) -> (digits: [UInt8], point: Int) {
    if count < 0 { return ([], point) }
    if count >= digits.count { return (digits, point) }
    var kept = Array(digits.prefix(count))
    let rest = digits[count...]
    let isHalf = rest.first == 5 && rest.dropFirst().allSatisfy { $0 == 0 }
    let isUp = isHalf ? (kept.last ?? 0) % 2 == 1 : (rest.first ?? 0) >= 5
    guard isUp else { return (kept, point) }
    var index = count - 1
    while index >= 0 {
      if kept[index] < 9 {
        kept[index] += 1
        return (kept, point)
      }
      kept[index] = 0
      index -= 1
    }
    return ([1] + kept, point + 1)
  }

  /// What `%.nf` writes.
  static func fixed(_ number: Double, precision: Int) -> String {
    let (exact, exactPoint) = exactDigits(number.magnitude)
    let (digits, point) = rounded(exact, exactPoint, to: exactPoint + precision)
    let text = digits.isEmpty ? [UInt8(ascii: "0")] : digits.map { $0 + 0x30 }
    return plain(text, digits.isEmpty ? 1 : point, fraction: precision, only: precision)
  }

  private static func plain(
    _ digits: [UInt8],
    _ point: Int,
    fraction: Int,
    only: Int
  ) -> String {
    let text = plain(digits, point, fraction: fraction)
    guard only == 0, let dot = text.firstIndex(of: ".") else { return text }
    return String(text[..<dot])
  }

  /// What `%.ne` writes.
  static func exponential(_ number: Double, precision: Int) -> String {
    let (exact, exactPoint) = exactDigits(number.magnitude)
    var (digits, point) = rounded(exact, exactPoint, to: precision + 1)
    if digits.count > precision + 1 { digits.removeLast() }
    if number == 0 { point = 1 }
    digits += [UInt8](repeating: 0, count: max(0, precision + 1 - digits.count))
    return scientific(digits.map { $0 + 0x30 }, exponent: point - 1)
  }

  /// What `%.ng` writes.
  static func general(_ number: Double, precision: Int, keepsZeros: Bool = false) -> String {
    let count = max(precision, 1)
    let (exact, exactPoint) = exactDigits(number.magnitude)
    var (digits, point) = rounded(exact, exactPoint, to: count)
    if number == 0 { point = 1 }
    if digits.count > count { digits.removeLast() }
    if keepsZeros {
      digits += [UInt8](repeating: 0, count: max(0, count - digits.count))
    } else {
      while digits.count > 1, digits.last == 0 { digits.removeLast() }
    }
    let text = digits.map { $0 + 0x30 }
    if point - 1 < -4 || point - 1 >= count { return scientific(text, exponent: point - 1) }
    return plain(text, point, fraction: 0)
  }

  // MARK: Reading

  /// Python's `int(text, base)`; nil if it is none or over 64 bits.
  static func integer(_ text: String, base: Int) -> Int? {
    guard var digits = trimmedDigits(text) else { return nil }
    var sign = ""
    if let first = digits.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") {
      sign = first == UInt8(ascii: "-") ? "-" : ""
      digits.removeFirst()
    }
    var radix = base
    if digits.count > 1, digits[0] == UInt8(ascii: "0") {
      let prefixes: [UInt8: Int] = [
        UInt8(ascii: "x"): 16, UInt8(ascii: "o"): 8, UInt8(ascii: "b"): 2,
      ]
      if let prefixed = prefixes[digits[1] | 0x20], base == 0 || base == prefixed {
        radix = prefixed
        digits.removeFirst(2)
        if digits.first == UInt8(ascii: "_") { digits.removeFirst() }
      } else if base == 0, !digits.allSatisfy({ $0 == UInt8(ascii: "0") }) {
        return nil
      }
    }
    if radix == 0 { radix = 10 }
    guard (2...36).contains(radix), let plain = withoutUnderscores(digits),
      plain.first.map({ $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: "+") }) ?? false
    else { return nil }
    return Int(sign + String(decoding: plain, as: UTF8.self), radix: radix)
  }

  /// Python's `float(text)`.
  static func number(_ text: String) -> Double? {
    guard let digits = trimmedDigits(text), let plain = withoutUnderscores(digits) else {
      return nil
    }
    let word = String(decoding: plain, as: UTF8.self).lowercased()
    switch word {
    case "inf", "infinity", "+inf", "+infinity": return .infinity
    case "-inf", "-infinity": return -.infinity
    case "nan", "+nan", "-nan": return .nan
    default: break
    }
    let allowed = Set("0123456789+-.e".utf8)
    guard word.utf8.allSatisfy({ allowed.contains($0) }) else { return nil }
    if let number = Double(word) { return number }
    // Swift refuses "1." and ".5" where Python does not.
    var padded = word
    if padded.hasPrefix(".") { padded = "0" + padded }
    padded = padded.replacing(".e", with: ".0e")
    if padded.hasSuffix(".") { padded += "0" }
    guard word.utf8.contains(where: { (0x30...0x39).contains($0) }) else { return nil }
    return Double(padded)
  }

  /// The text without white space around it, its decimal digits of all scripts as ASCII.
  private static func trimmedDigits(_ text: String) -> [UInt8]? {
    var bytes: [UInt8] = []
    for scalar in PythonText.stripped(Array(text.unicodeScalars)[...]) {
      if scalar.isASCII {
        bytes.append(UInt8(scalar.value))
      } else if scalar.properties.numericType == .decimal,
        let value = scalar.properties.numericValue
      {
        bytes.append(0x30 + UInt8(value))
      } else {
        return nil
      }
    }
    return bytes.isEmpty ? nil : bytes
  }

  /// Removes underscores, which may stand between digits.
  private static func withoutUnderscores(_ digits: [UInt8]) -> [UInt8]? {
    var plain: [UInt8] = []
    func isDigit(_ index: Int) -> Bool {
      guard digits.indices.contains(index) else { return false }
      let byte = digits[index]
      return (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20)
    }
    for (index, byte) in digits.enumerated() {
      if byte == UInt8(ascii: "_") {
        guard isDigit(index - 1), isDigit(index + 1) else { return nil }
      } else {
        plain.append(byte)
      }
    }
    return plain
  }
}
