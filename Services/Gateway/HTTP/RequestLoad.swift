import Logging
import ServiceKit
import Synchronization

/// The requests that are being worked on: their limit, metrics and access lines.
final class RequestLoad: Sendable {
  /// The entry of the request that the current task works for.
  @TaskLocal static var current: Entry?

  private let workMax: Int
  private let work = Atomic<Int>(0)
  private let metrics: GatewayMetrics
  private let accessLogger: Logger?

  /// `workMax`: most requests at once that make a model work.
  init(workMax: Int, metrics: GatewayMetrics, accessLogger: Logger?) {
    self.workMax = workMax
    self.metrics = metrics
    self.accessLogger = accessLogger
  }

  /// Requests being worked on that count against the limit.
  var workCount: Int { work.load(ordering: .relaxed) }

  /// Counts a request in; it is counted out by ``Entry/finish(status:)``, at the latest when the
  /// entry is dropped.
  ///
  /// Throws `overloaded` beyond the limit.
  func enter(route: Route?, method: String) throws(GatewayError) -> Entry {
    let isWork = route?.isWork ?? false
    if isWork {
      guard work.wrappingAdd(1, ordering: .relaxed).oldValue < workMax else {
        work.wrappingSubtract(1, ordering: .relaxed)
        throw GatewayError(
          .overloaded,
          "The server works on \(workMax) requests already. Please try again later."
        )
      }
    }
    metrics.inFlight.add(1)
    return Entry(self, isWork: isWork, route: route, method: method)
  }

  /// Counts a request that was not let in.
  func refused(route: Route?, method: String, status: Int) {
    record(route, method, status, .zero, RequestContext.current)
  }

  private func record(
    _ route: Route?,
    _ method: String,
    _ status: Int,
    _ duration: Duration,
    _ context: RequestContext?
  ) {
    let path = route?.rawValue ?? Route.unmatched
    metrics.record(route: path, method: method, status: status, duration: duration)
    guard let accessLogger else { return }
    // Probes ask for the health all the time.
    let level: Logger.Level = status >= 500 ? .warning : route == .health ? .debug : .info
    guard level >= accessLogger.logLevel else { return }
    RequestContext.$current.withValue(context) {
      accessLogger.log(
        level: level,
        "request",
        metadata: [
          "route": "\(path)", "method": "\(method.quotable)", "status": "\(status)",
          "duration_ms": "\(duration / .milliseconds(1))",
        ]
      )
    }
  }

  /// One request that was let in.
  final class Entry: Sendable {
    private let load: RequestLoad
    private let isWork: Bool
    private let route: Route?
    private let method: String
    private let context = RequestContext.current
    private let start = ContinuousClock.now
    private let isFinished = Atomic<Bool>(false)

    fileprivate init(_ load: RequestLoad, isWork: Bool, route: Route?, method: String) {
      self.load = load
      self.isWork = isWork
      self.route = route
      self.method = method
    }

    deinit { finish(status: GatewayError.clientClosed.status) }

    /// Time since the request's head was read.
    var elapsed: Duration { ContinuousClock.now - start }

    /// Counts the request out, once; later calls do nothing.
    func finish(status: Int) {
      guard !isFinished.exchange(true, ordering: .relaxed) else { return }
      if isWork { load.work.wrappingSubtract(1, ordering: .relaxed) }
      load.metrics.inFlight.add(-1)
      load.record(route, method, status, elapsed, context)
    }
  }
}
