#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A moment of wall-clock time, for logs; never for measuring how long something took.
struct Timestamp: Sendable, Equatable {
  /// Milliseconds since 1970-01-01T00:00:00Z.
  let milliseconds: Int64

  /// The present.
  static var now: Timestamp {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp(
      milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    )
  }

  /// RFC 3339 in UTC with milliseconds: `2026-11-21T09:15:00.123Z`.
  var rfc3339: String {
    let (seconds, millisecond) = Self.floorDivide(milliseconds, 1000)
    let (day, second) = Self.floorDivide(seconds, 86_400)
    let (year, month, dayOfMonth) = Self.date(dayNumber: day)
    let time =
      "\(pad(second / 3600, 2)):\(pad(second / 60 % 60, 2)):\(pad(second % 60, 2))"
    return
      "\(pad(year, 4))-\(pad(month, 2))-\(pad(dayOfMonth, 2))T\(time).\(pad(millisecond, 3))Z"
  }

  /// The civil date of a day counted from 1970-01-01; Howard Hinnant, "chrono-Compatible Low-Level
  /// Date Algorithms", `civil_from_days`.
  private static func date(dayNumber: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let (era, dayOfEra) = floorDivide(dayNumber + 719_468, 146_097)
    let yearOfEra =
      (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shifted + 2) / 5 + 1
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
  }

  private static func floorDivide(_ a: Int64, _ b: Int64) -> (Int64, Int64) {
    let remainder = a % b
    return remainder < 0 ? (a / b - 1, remainder + b) : (a / b, remainder)
  }

  private func pad(_ value: Int64, _ width: Int) -> String {
    let text = String(value)
    return String(repeating: "0", count: max(0, width - text.count)) + text
  }
}
