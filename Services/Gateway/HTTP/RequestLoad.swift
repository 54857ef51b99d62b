import Logging
import ServiceKit
import Synchronization

/// The requests that are being worked on: their limit, metrics and access lines.
final class RequestLoad: Sendable {
  /// The entry of the request that the current task works for.
  @TaskLocal static var current: Entry?

  /// How much is taken on at once.
  struct Limits: Sendable {
    /// Most requests that make a model work.
    var workMax = 256
    /// Most request bodies being read.
    var bodiesMax = 1024
    /// Most bytes of all of them together.
    var bodyBytesMax = 256 << 20
    /// Most requests that follow a job's events, each with a stream from the training service.
    var eventStreamsMax = 128
  }

  private let limits: Limits
  private let work = Atomic<Int>(0)
  private let bodies = Atomic<Int>(0)
  private let bodyBytes = Atomic<Int>(0)
  private let eventStreams = Atomic<Int>(0)
  private let metrics: GatewayMetrics
  private let accessLogger: Logger?
  private let onChange: @Sendable () -> Void

  /// `onChange` is told of each change, on any thread; it must not block.
  init(
    limits: Limits,
    metrics: GatewayMetrics,
    accessLogger: Logger?,
    onChange: @escaping @Sendable () -> Void
  ) {
    self.onChange = onChange
    self.limits = limits
    self.metrics = metrics
    self.accessLogger = accessLogger
  }

  /// Requests that make a model work; no more than the limit.
  var workCount: Int { work.load(ordering: .relaxed) }
  /// Requests that follow a job's events; no more than the limit.
  var eventStreamCount: Int { eventStreams.load(ordering: .relaxed) }
  /// Bodies being read, and their bytes so far.
  var bodiesRead: (count: Int, bytes: Int) {
    (bodies.load(ordering: .relaxed), bodyBytes.load(ordering: .relaxed))
  }

  /// Counts a request in; it is counted out by ``Entry/finish(status:)``, at the latest when the
  /// entry is dropped.
  func enter(route: Route?, method: String) -> Entry {
    metrics.inFlight.add(1)
    return Entry(self, route: route, method: method)
  }

  /// Takes `amount` of what there is `max` of; false if there is not as much.
  private static func take(_ amount: Int, of counter: borrowing Atomic<Int>, max: Int) -> Bool {
    guard counter.wrappingAdd(amount, ordering: .relaxed).newValue > max else { return true }
    counter.wrappingSubtract(amount, ordering: .relaxed)
    return false
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

  /// One request that was counted in; from one task at a time, ``finish(status:)`` from any.
  ///
  /// A request takes a place among those that are worked on only when its body is complete, so that
  /// slow senders do not keep others from being served.
  final class Entry: Sendable {
    /// What the request has taken and must give back.
    private enum Phase {
      /// Nothing yet: may read a body.
      case entered
      /// Reads its body, this long so far.
      case reading(bytes: Int)
      /// Makes a model work.
      case working
      /// Follows a job's events.
      case following
      /// Has given everything back.
      case finished
    }

    private let load: RequestLoad
    private let route: Route?
    private let method: String
    private let context = RequestContext.current
    private let start = ContinuousClock.now
    private let phase = Mutex(Phase.entered)

    fileprivate init(_ load: RequestLoad, route: Route?, method: String) {
      self.load = load
      self.route = route
      self.method = method
    }

    deinit { finish(status: GatewayError.clientClosed.status) }

    /// Time since the request's head was read.
    var elapsed: Duration { ContinuousClock.now - start }

    /// Takes a place to read a body; throws `overloaded` if there is none.
    func beginBody() throws(GatewayError) {
      let max = load.limits.bodiesMax
      let isTaken = phase.withLock { phase in
        guard case .entered = phase, RequestLoad.take(1, of: load.bodies, max: max) else {
          return false
        }
        phase = .reading(bytes: 0)
        return true
      }
      guard isTaken else { throw .overloaded("The server reads \(max) requests already.") }
      load.onChange()
    }

    /// Counts bytes that the body has grown by; throws `overloaded` if they are too many.
    func growBody(by bytes: Int) throws(GatewayError) {
      let isTaken = phase.withLock { phase in
        guard case .reading(let before) = phase,
          RequestLoad.take(bytes, of: load.bodyBytes, max: load.limits.bodyBytesMax)
        else { return false }
        phase = .reading(bytes: before + bytes)
        return true
      }
      guard isTaken else {
        throw .overloaded("The server reads too many large requests already.")
      }
      load.onChange()
    }

    /// Gives the body's place back, for one to make a model work; throws `overloaded` if there is
    /// none.
    func beginWork() throws(GatewayError) {
      let max = load.limits.workMax
      let isTaken = phase.withLock { phase in
        guard case .reading = phase, RequestLoad.take(1, of: load.work, max: max) else {
          return false
        }
        giveBack(phase)
        phase = .working
        return true
      }
      guard isTaken else { throw .overloaded("The server works on \(max) requests already.") }
      load.onChange()
    }

    /// Takes a place to follow a job's events; throws `overloaded` if there is none.
    func beginEvents() throws(GatewayError) {
      let max = load.limits.eventStreamsMax
      let isTaken = phase.withLock { phase in
        guard case .entered = phase, RequestLoad.take(1, of: load.eventStreams, max: max) else {
          return false
        }
        phase = .following
        return true
      }
      guard isTaken else { throw .overloaded("The server follows \(max) jobs already.") }
      load.onChange()
    }

    /// Counts the request out, once; later calls do nothing.
    func finish(status: Int) {
      let isFirst = phase.withLock { phase in
        if case .finished = phase { return false }
        giveBack(phase)
        phase = .finished
        return true
      }
      guard isFirst else { return }
      load.metrics.inFlight.add(-1)
      load.record(route, method, status, elapsed, context)
      load.onChange()
    }

    private func giveBack(_ phase: Phase) {
      switch phase {
      case .entered, .finished: break
      case .reading(let bytes):
        load.bodies.wrappingSubtract(1, ordering: .relaxed)
        load.bodyBytes.wrappingSubtract(bytes, ordering: .relaxed)
      case .working: load.work.wrappingSubtract(1, ordering: .relaxed)
      case .following: load.eventStreams.wrappingSubtract(1, ordering: .relaxed)
      }
    }
  }
}

extension GatewayError {
  fileprivate static func overloaded(_ reason: String) -> GatewayError {
    GatewayError(.overloaded, "\(reason) Please try again later.")
  }
}
