import Logging
import Synchronization

/// Keeps log lines as text: the message, then `key=value` in the order of the keys.
final class LogCapture: Sendable {
  private struct Handler: LogHandler {
    let capture: LogCapture
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      let pairs = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
      capture.add((["\(event.message)"] + pairs).joined(separator: " "))
    }
  }

  private let state = Mutex<(lines: [String], waiters: [(text: String, signal: Signal)])>(([], []))

  /// A logger that writes here.
  var logger: Logger { Logger(label: "test") { _ in Handler(capture: self) } }

  /// Every line so far.
  var lines: [String] { state.withLock { $0.lines } }

  private func add(_ line: String) {
    let met = state.withLock { state in
      state.lines.append(line)
      let met = state.waiters.filter { line.contains($0.text) }.map(\.signal)
      state.waiters.removeAll { line.contains($0.text) }
      return met
    }
    for signal in met { signal.set() }
  }

  /// Waits for a line with that text.
  func wait(for text: String) async {
    let signal = Signal()
    let isThere = state.withLock { state in
      if state.lines.contains(where: { $0.contains(text) }) { return true }
      state.waiters.append((text, signal))
      return false
    }
    if !isThere { await signal.wait() }
  }
}
