/// The value of `grpc-timeout`: at most eight digits and a unit.
enum TimeoutHeader {
  private static let units: [(symbol: Character, nanoseconds: UInt64)] = [
    ("n", 1), ("u", 1000), ("m", 1_000_000), ("S", 1_000_000_000),
    ("M", 60_000_000_000), ("H", 3_600_000_000_000),
  ]
  private static let maxValue: UInt64 = 99_999_999

  /// The header's value for that many nanoseconds, rounded up to the unit that fits.
  static func encode(nanoseconds: UInt64) -> String {
    for (symbol, unit) in units {
      let value = nanoseconds / unit + (nanoseconds % unit == 0 ? 0 : 1)
      if value <= maxValue { return "\(value)\(symbol)" }
    }
    return "\(maxValue)H"
  }

  /// The nanoseconds that the header's value stands for, or nil when it is malformed.
  static func decode(_ text: String) -> UInt64? {
    guard let symbol = text.last, let unit = units.first(where: { $0.symbol == symbol }) else {
      return nil
    }
    let digits = text.utf8.dropLast()
    guard (1...8).contains(digits.count) else { return nil }
    var value: UInt64 = 0
    for digit in digits {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
      value = value * 10 + UInt64(digit - UInt8(ascii: "0"))
    }
    let product = value.multipliedReportingOverflow(by: unit.nanoseconds)
    return product.overflow ? .max : product.partialValue
  }
}
