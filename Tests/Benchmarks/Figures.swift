import Glibc

/// Prints the figures of a benchmark.
enum Figures {
  /// One line: a case, its value with `digits` behind the point, and the unit.
  static func show(_ name: String, _ value: Double, _ unit: String, digits: Int = 2) {
    print("\(name) \(rounded(value, digits)) \(unit)")
    fflush(nil)
  }

  /// The middle of some measurements; the mean of the two in the middle of an even number.
  static func median(_ values: [Double]) -> Double {
    precondition(!values.isEmpty)
    let sorted = values.sorted()
    return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
  }

  private static func rounded(_ value: Double, _ digits: Int) -> String {
    let scale = pow(10, Double(digits))
    let whole = (abs(value) * scale).rounded()
    let fraction = String(Int(whole.truncatingRemainder(dividingBy: scale)))
    let padding = String(repeating: "0", count: max(0, digits - fraction.count))
    let sign = value < 0 ? "-" : ""
    return "\(sign)\(Int(whole / scale))" + (digits > 0 ? ".\(padding)\(fraction)" : "")
  }
}
