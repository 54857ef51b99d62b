#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// What the command line says to its user, on standard output, at once.
enum Output {
  /// Writes one line.
  static func line(_ text: String) { fragment(text + "\n") }

  /// Writes a part of a line.
  static func fragment(_ text: String) {
    var text = text
    text.withUTF8 { bytes in
      var rest = bytes
      while !rest.isEmpty {
        let written = write(1, rest.baseAddress, rest.count)
        guard written > 0 else {
          if errno == EINTR { continue }
          // Nobody reads any more, and SIGPIPE has not ended us: there is nothing left to do.
          exit(1)
        }
        rest = UnsafeBufferPointer(rebasing: rest.dropFirst(written))
      }
    }
  }

  /// Writes a table: each column as wide as its widest cell.
  static func table(_ rows: [[String]]) {
    guard let columns = rows.map(\.count).max() else { return }
    let widths = (0..<columns).map { column in
      rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
    }
    for row in rows {
      var text = ""
      for (column, cell) in row.enumerated() {
        text += cell
        if column < row.count - 1 {
          text += String(repeating: " ", count: widths[column] - cell.count + 2)
        }
      }
      line(text)
    }
  }
}

extension Output {
  /// A score with three decimals: "0.987".
  static func score(_ score: Double) -> String {
    guard score.isFinite, abs(score) < 1e9 else { return "\(score)" }
    let thousandths = Int((score * 1000).rounded())
    let digits = String(abs(thousandths) % 1000)
    return (thousandths < 0 ? "-" : "") + "\(abs(thousandths) / 1000)."
      + String(repeating: "0", count: 3 - digits.count) + digits
  }
}

extension Duration {
  /// Seconds with one decimal: "0.6 s".
  var formattedSeconds: String {
    let tenths = Int((self / .milliseconds(100)).rounded())
    return "\(tenths / 10).\(tenths % 10) s"
  }
}
