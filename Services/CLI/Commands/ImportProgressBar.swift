import ServiceAPI
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// One line on a terminal that says how far an import has got; nothing where standard error is none.
final class ImportProgressBar: Sendable {
  /// Cells of the bar.
  private static let width = 24
  /// The time between two drawings.
  private static let interval = Duration.milliseconds(100)

  private let totalBytes: UInt64
  private let isShown = isatty(2) == 1
  private let start = ContinuousClock.now
  private let lastDrawn = Mutex<ContinuousClock.Instant?>(nil)

  init(totalBytes: UInt64) { self.totalBytes = totalBytes }

  /// Draws the state, unless it was drawn a moment ago.
  func show(_ progress: DatasetsV1.ImportProgress) {
    guard isShown else { return }
    let now = ContinuousClock.now
    let isDue = lastDrawn.withLock { last in
      if let last, now - last < Self.interval, progress.bytes < totalBytes { return false }
      last = now
      return true
    }
    guard isDue else { return }
    Self.write("\r\u{1B}[K" + line(progress, elapsed: now - start))
  }

  /// Ends the line.
  func end() {
    if isShown, lastDrawn.withLock({ $0 }) != nil { Self.write("\n") }
  }

  /// A line on standard error.
  static func note(_ text: String) { write(text + "\n") }

  /// `[####    ] 12.3 of 29.1 MB, 8.1 MB/s, 2 s left, 10234 rows, 3 bad`.
  func line(_ progress: DatasetsV1.ImportProgress, elapsed: Duration) -> String {
    let total = max(totalBytes, 1)
    let done = min(progress.bytes, total)
    let cells = Int(done * UInt64(Self.width) / total)
    let bar =
      String(repeating: "#", count: cells) + String(repeating: " ", count: Self.width - cells)
    let seconds = max(elapsed / .seconds(1), 0.001)
    let rate = Double(done) / seconds
    let left = rate > 0 ? Int((Double(total - done) / rate).rounded(.up)) : 0
    let bad = progress.badRows > 0 ? ", \(progress.badRows) bad" : ""
    return "[\(bar)] \(Self.megabytes(Double(done))) of \(Self.megabytes(Double(total))) MB, "
      + "\(Self.megabytes(rate)) MB/s, \(left) s left, \(progress.rows) rows\(bad)"
  }

  private static func megabytes(_ bytes: Double) -> String {
    let tenths = Int((bytes / 100_000).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }

  private static func write(_ text: String) {
    var text = text
    text.withUTF8 { bytes in
      // A terminal that is gone is no reason to stop the import.
      _ = Glibc.write(2, bytes.baseAddress, bytes.count)
    }
  }
}
