#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// A local date and time, for `strftime_now`.
package struct TemplateTime: Sendable, Equatable {
  package var year: Int
  /// From 1.
  package var month: Int
  /// From 1.
  package var day: Int
  package var hour: Int
  package var minute: Int
  package var second: Int
  package var microsecond: Int

  /// Creates a time; it must be one of the Gregorian calendar.
  package init(
    year: Int,
    month: Int,
    day: Int,
    hour: Int = 0,
    minute: Int = 0,
    second: Int = 0,
    microsecond: Int = 0
  ) {
    precondition((1...12).contains(month) && (1...31).contains(day), "not a date")
    (self.year, self.month, self.day) = (year, month, day)
    (self.hour, self.minute, self.second) = (hour, minute, second)
    self.microsecond = microsecond
  }
}

/// Tells templates the time.
package struct TemplateClock: Sendable {
  /// The local time now.
  package var now: @Sendable () -> TemplateTime

  /// Creates a clock.
  package init(now: @escaping @Sendable () -> TemplateTime) { self.now = now }

  /// The clock of the machine, in its time zone.
  package static let system = TemplateClock {
    var wall = timespec()
    clock_gettime(CLOCK_REALTIME, &wall)
    var seconds = wall.tv_sec
    var parts = tm()
    localtime_r(&seconds, &parts)
    return TemplateTime(
      year: Int(parts.tm_year) + 1900,
      month: Int(parts.tm_mon) + 1,
      day: Int(parts.tm_mday),
      hour: Int(parts.tm_hour),
      minute: Int(parts.tm_min),
      second: Int(parts.tm_sec),
      microsecond: wall.tv_nsec / 1_000
    )
  }
}

extension TemplateTime {
  private static let weekdays = [
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
  ]
  private static let months = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
  ]

  private var isLeapYear: Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

  /// The day of the year, from 0.
  private var dayOfYear: Int {
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]
    return before[month - 1] + day - 1 + (month > 2 && isLeapYear ? 1 : 0)
  }

  /// The day of the week, from Sunday as 0 (Sakamoto's method).
  private var weekday: Int {
    let offsets = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4]
    let year = month < 3 ? year - 1 : year
    let sum = year + year / 4 - year / 100 + year / 400 + offsets[month - 1] + day
    return ((sum % 7) + 7) % 7
  }

  /// Year and week of ISO 8601.
  private var isoWeek: (year: Int, week: Int) {
    let weekday = (weekday + 6) % 7
    let week = (dayOfYear - weekday + 10) / 7
    func weeks(_ year: Int) -> Int {
      func lastWeekday(_ year: Int) -> Int { (year + year / 4 - year / 100 + year / 400) % 7 }
      return lastWeekday(year) == 4 || lastWeekday(year - 1) == 3 ? 53 : 52
    }
    if week < 1 { return (year - 1, weeks(year - 1)) }
    if week > weeks(year) { return (year + 1, 1) }
    return (year, week)
  }

  /// C's `strftime` in the locale C, of a time without zone, as Python's `datetime` calls it.
  func formatted(_ format: String) -> String {
    var text = ""
    var scalars = format.unicodeScalars.makeIterator()
    while let scalar = scalars.next() {
      guard scalar == "%" else {
        text.unicodeScalars.append(scalar)
        continue
      }
      guard var directive = scalars.next() else {
        text += "%"
        break
      }
      // glibc's flag for no padding.
      var isUnpadded = false
      if directive == "-" {
        guard let next = scalars.next() else {
          text += "%-"
          break
        }
        isUnpadded = true
        directive = next
      }
      text +=
        part(directive, isUnpadded: isUnpadded) ?? (isUnpadded ? "%-" : "%") + String(directive)
    }
    return text
  }

  private func part(_ directive: Unicode.Scalar, isUnpadded: Bool) -> String? {
    func padded(_ value: Int, _ width: Int = 2, _ fill: Character = "0") -> String {
      let digits = String(value)
      if isUnpadded { return digits }
      return String(repeating: fill, count: max(0, width - digits.utf8.count)) + digits
    }
    let hour12 = hour % 12 == 0 ? 12 : hour % 12
    switch directive {
    case "a": return String(Self.weekdays[weekday].prefix(3))
    case "A": return Self.weekdays[weekday]
    case "b", "h": return String(Self.months[month - 1].prefix(3))
    case "B": return Self.months[month - 1]
    case "c": return formatted("%a %b %e %H:%M:%S %Y")
    case "C": return padded(year / 100)
    case "d": return padded(day)
    case "D", "x": return formatted("%m/%d/%y")
    case "e": return padded(day, 2, " ")
    case "f": return padded(microsecond, 6)
    case "F": return formatted("%Y-%m-%d")
    case "g": return padded(isoWeek.year % 100)
    case "G": return String(isoWeek.year)
    case "H": return padded(hour)
    case "I": return padded(hour12)
    case "j": return padded(dayOfYear + 1, 3)
    case "k": return padded(hour, 2, " ")
    case "l": return padded(hour12, 2, " ")
    case "m": return padded(month)
    case "M": return padded(minute)
    case "n": return "\n"
    case "p": return hour < 12 ? "AM" : "PM"
    case "P": return hour < 12 ? "am" : "pm"
    case "r": return formatted("%I:%M:%S %p")
    case "R": return formatted("%H:%M")
    case "S": return padded(second)
    case "t": return "\t"
    case "T", "X": return formatted("%H:%M:%S")
    case "u": return String(weekday == 0 ? 7 : weekday)
    case "U": return padded((dayOfYear + 7 - weekday) / 7)
    case "V": return padded(isoWeek.week)
    case "w": return String(weekday)
    case "W": return padded((dayOfYear + 7 - (weekday + 6) % 7) / 7)
    case "y": return padded(year % 100)
    case "Y": return String(year)
    case "z", "Z": return ""
    case "%": return "%"
    default: return nil
    }
  }
}
