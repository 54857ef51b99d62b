/// A number of bytes, written `4MiB`, `512KiB`, `1GB` or `4096`.
package struct ByteCount: Sendable, Hashable, Comparable, CustomStringConvertible {
  /// The number of bytes, never negative.
  package let bytes: Int

  /// Creates a count.
  package init(_ bytes: Int) {
    precondition(bytes >= 0, "ByteCount: \(bytes) is negative")
    self.bytes = bytes
  }

  /// A count in units of 1,024 bytes.
  package static func kibibytes(_ count: Int) -> ByteCount { ByteCount(count << 10) }
  /// A count in units of 1,048,576 bytes.
  package static func mebibytes(_ count: Int) -> ByteCount { ByteCount(count << 20) }
  /// A count in units of 1,073,741,824 bytes.
  package static func gibibytes(_ count: Int) -> ByteCount { ByteCount(count << 30) }

  package static func < (a: ByteCount, b: ByteCount) -> Bool { a.bytes < b.bytes }

  /// The shortest exact spelling, in binary units.
  package var description: String {
    for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")]
    where bytes != 0 && bytes & ((1 << shift) - 1) == 0 {
      return "\(bytes >> shift)\(unit)"
    }
    return "\(bytes)B"
  }
}

extension ByteCount: OptionValue {
  package static var optionType: String { "byte count" }

  private static let units: [String: Int] = [
    "": 1, "B": 1,
    "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
    "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40,
    "kB": 1000, "KB": 1000, "MB": 1_000_000, "GB": 1_000_000_000, "TB": 1_000_000_000_000,
  ]

  package init(optionText text: String) throws(ServiceKitError) {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    let unit = String(text.dropFirst(digits.count).trimmingBlanks)
    guard let count = Int(digits), let scale = Self.units[unit] else {
      throw .badValue("is not a byte count (such as 4096, 512KiB or 4MiB)")
    }
    let (bytes, overflow) = count.multipliedReportingOverflow(by: scale)
    guard !overflow else { throw .badValue("is too large a byte count") }
    self.init(bytes)
  }

  package var optionText: String { description }
}
