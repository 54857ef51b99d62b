/// Durations are written with a unit: `250ms`, `30s`, `1.5s`, `1h30m`; zero may be a plain `0`.
extension Duration: OptionValue {
  package static var optionType: String { "duration" }

  /// Units from the largest to the smallest, in nanoseconds.
  private static let units: [(name: String, nanoseconds: Int64)] = [
    ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000),
    ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1000), ("ns", 1),
  ]

  package init(optionText text: String) throws(ServiceKitError) {
    let bad = ServiceKitError.badValue("is not a duration (such as 250ms, 30s or 1h30m)")
    guard text != "0" else {
      self = .zero
      return
    }
    var rest = Substring(text)
    var total = 0.0
    var exact: Int64 = 0
    guard !rest.isEmpty else { throw bad }
    while !rest.isEmpty {
      let number = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
      rest = rest.dropFirst(number.count)
      let name = rest.prefix { $0.isASCII && $0.isLetter }
      rest = rest.dropFirst(name.count)
      guard number.first != ".", number.last != ".", let value = Double(number),
        let unit = Self.units.first(where: { $0.name == name })
      else { throw bad }
      total += value * Double(unit.nanoseconds)
      // About 292 years; beyond it the nanoseconds no longer fit.
      guard total < 9.2e18 else { throw .badValue("is too long a duration") }
      if let whole = Int64(number) {
        exact += whole * unit.nanoseconds
      } else {
        exact += Int64((value * Double(unit.nanoseconds)).rounded())
      }
    }
    self = .nanoseconds(exact)
  }

  /// The shortest exact spelling down to the nanosecond, such as `1h30m` or `250ms`.
  package var optionText: String {
    let (seconds, attoseconds) = components
    guard seconds < 9_000_000_000, seconds > -9_000_000_000 else { return "\(seconds)s" }
    var rest = seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    guard rest != 0 else { return "0s" }
    var text = rest < 0 ? "-" : ""
    rest = abs(rest)
    for unit in Self.units where rest >= unit.nanoseconds {
      text += "\(rest / unit.nanoseconds)\(unit.name)"
      rest %= unit.nanoseconds
    }
    return text
  }
}
