package import Logging
import Synchronization

/// Where finished log lines go.
package protocol LogSink: Sendable {
  /// Writes one line, its line feed included, whole; callable from any thread.
  func write(_ line: [UInt8])
}

/// A swift-log backend that writes one line per event: time, level, service, message, the request
/// id of the current ``RequestContext``, then metadata in the order of its names.
package struct LineLogHandler: LogHandler {
  package var logLevel: Logger.Level
  package var metadata: Logger.Metadata = [:]
  package var metadataProvider: Logger.MetadataProvider?
  private let service: String
  private let format: LogFormat
  private let sink: any LogSink
  private let now: @Sendable () -> Timestamp

  /// Creates a handler.
  package init(service: String, format: LogFormat, level: Logger.Level, sink: any LogSink) {
    self.init(service: service, format: format, level: level, sink: sink, now: { .now })
  }

  init(
    service: String,
    format: LogFormat,
    level: Logger.Level,
    sink: any LogSink,
    now: @escaping @Sendable () -> Timestamp
  ) {
    self.service = service
    self.format = format
    self.logLevel = level
    self.sink = sink
    self.now = now
  }

  package subscript(metadataKey key: String) -> Logger.MetadataValue? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  package func log(event: LogEvent) {
    var line = LogLine(format: format)
    line.add("time", now().rfc3339)
    line.add("level", event.level.rawValue)
    line.add("service", service)
    line.add("msg", event.message.description)
    if let context = RequestContext.current { line.add("request_id", context.requestID) }
    if let error = event.error { line.add("error", String(describing: error)) }
    var fields = metadata
    if let provider = metadataProvider { fields.merge(provider.get()) { $1 } }
    if let own = event.metadata { fields.merge(own) { $1 } }
    for (name, value) in fields.sorted(by: { $0.key < $1.key }) {
      line.add(metadata: name, value)
    }
    sink.write(line.finished())
  }
}

extension Logger.Level: OptionValue {}

/// The logging of a process.
package enum ServiceLogging {
  private struct Backend: Sendable {
    var service = "llmos"
    var format = LogFormat.text
    var level = Logger.Level.info
    var sink: any LogSink = StandardErrorSink.shared
  }

  private static let backend = Mutex(Backend())
  /// swift-log may be bootstrapped once in a process; later calls only change the backend.
  private static let bootstrap: Void = LoggingSystem.bootstrap { _ in
    let now = backend.withLock { $0 }
    return LineLogHandler(
      service: now.service,
      format: now.format,
      level: now.level,
      sink: now.sink
    )
  }

  /// Makes every logger created from now on write lines for `service`.
  package static func install(
    service: String,
    format: LogFormat,
    level: Logger.Level,
    sink: any LogSink = StandardErrorSink.shared
  ) {
    backend.withLock {
      $0 = Backend(service: service, format: format, level: level, sink: sink)
    }
    bootstrap
  }
}
