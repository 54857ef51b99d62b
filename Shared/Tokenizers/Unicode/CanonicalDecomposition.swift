/// Canonical decomposition (NFD), as the library that Hugging Face uses does it (Unicode 9).
enum CanonicalDecomposition {
  /// Syllables that decompose by arithmetic (The Unicode Standard, section 3.12).
  static let hangul: ClosedRange<UInt32> = 0xAC00...0xD7A3

  /// Appends the full decomposition of `scalar` to `output`: itself, if it has none.
  static func append(_ scalar: UInt32, to output: inout [UInt32]) {
    if hangul.contains(scalar) {
      let index = scalar - hangul.lowerBound
      output.append(0x1100 + index / 588)
      output.append(0x1161 + index % 588 / 28)
      if index % 28 > 0 { output.append(0x11A7 + index % 28) }
      return
    }
    let table = UnicodeTables.decompositions
    guard let row = row(of: scalar, in: table, stride: 5, isRange: false) else {
      output.append(scalar)
      return
    }
    for column in 1...4 where table[row + column] != 0 { output.append(table[row + column]) }
  }

  /// The canonical combining class.
  static func combiningClass(_ scalar: UInt32, _ classes: ScalarClasses) -> UInt8 {
    guard classes[scalar].contains(.decomposes) else { return 0 }
    let table = UnicodeTables.combiningClasses
    guard let row = row(of: scalar, in: table, stride: 3, isRange: true) else { return 0 }
    return UInt8(truncatingIfNeeded: table[row + 2])
  }

  /// Appends the lower case of `scalar` to `output`: itself, if it has none.
  static func appendLowercase(_ scalar: UInt32, to output: inout [UInt32]) {
    let table = UnicodeTables.lowercase
    guard let row = row(of: scalar, in: table, stride: 3, isRange: false) else {
      output.append(scalar)
      return
    }
    output.append(table[row + 1])
    if table[row + 2] != 0 { output.append(table[row + 2]) }
  }

  /// Binary search for the row of a sorted table that holds `scalar`.
  private static func row(
    of scalar: UInt32,
    in table: [UInt32],
    stride: Int,
    isRange: Bool
  ) -> Int? {
    var low = 0
    var high = table.count / stride
    while low < high {
      let middle = (low + high) / 2
      let first = table[middle * stride]
      let last = isRange ? table[middle * stride + 1] : first
      if scalar < first {
        high = middle
      } else if scalar > last {
        low = middle + 1
      } else {
        return middle * stride
      }
    }
    return nil
  }
}
