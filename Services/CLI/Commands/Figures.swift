/// Numbers as people read them.
enum Figures {
  /// A number with so many decimals: "0.7557".
  static func fixed(_ value: Double, _ decimals: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let scaled = (abs(value) * scale).rounded()
    guard scaled < 1e18 else { return "\(value)" }
    let whole = Int64(scaled / scale)
    let rest = Int64(scaled) - whole * Int64(scale)
    let sign = value < 0 && scaled > 0 ? "-" : ""
    guard decimals > 0 else { return "\(sign)\(Int64(scaled))" }
    let digits = String(rest)
    return "\(sign)\(whole)." + String(repeating: "0", count: decimals - digits.count) + digits
  }

  /// A whole number with separators: "12,345".
  static func grouped(_ value: UInt64) -> String {
    var text = ""
    for (index, digit) in String(value).reversed().enumerated() {
      if index > 0, index.isMultiple(of: 3) { text.append(",") }
      text.append(digit)
    }
    return String(text.reversed())
  }

  /// A time as its two largest units: "1h 05m", "2m 03s", "9s".
  static func duration(seconds: Double) -> String {
    guard seconds.isFinite, seconds >= 0, seconds < 1e9 else { return "?" }
    let whole = Int(seconds.rounded())
    func padded(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    if whole >= 3_600 { return "\(whole / 3_600)h \(padded(whole % 3_600 / 60))m" }
    if whole >= 60 { return "\(whole / 60)m \(padded(whole % 60))s" }
    return "\(whole)s"
  }

  /// Metrics on one line, by name: "f1 0.7557, loss 0.1203".
  static func metrics(_ metrics: [String: Double]) -> String {
    metrics.sorted { $0.key < $1.key }.map { "\($0.key) \(fixed($0.value, 4))" }
      .joined(separator: ", ")
  }
}
