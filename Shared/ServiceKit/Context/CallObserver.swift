import Logging
import RPC

/// Watches the calls that an RPC server serves: gives each its ``RequestContext``, writes one access
/// line per call, and counts.
///
/// Metrics are named as the gRPC ecosystem (go-grpc-middleware) names them, so that its dashboards
/// work.
struct CallObserver: Sendable {
  /// Calls that probes make all the time; their access lines have the level `debug`.
  private static let quietServices: Set<String> = ["grpc.health.v1.Health"]

  /// The label of a service and a method that do not exist.
  private static let unknown = "unknown"

  private let logger: Logger
  private let logsAccess: Bool
  private let started: CounterFamily
  private let handled: CounterFamily
  private let seconds: HistogramFamily

  init(logger: Logger, logsAccess: Bool, metrics: MetricsRegistry) {
    self.logger = logger
    self.logsAccess = logsAccess
    let labels = ["grpc_type", "grpc_service", "grpc_method"]
    started = metrics.counter(
      "grpc_server_started_total",
      help: "RPCs started on the server.",
      labels: labels
    )
    handled = metrics.counter(
      "grpc_server_handled_total",
      help: "RPCs completed on the server, whatever their status.",
      labels: labels + ["grpc_code"]
    )
    seconds = metrics.histogram(
      "grpc_server_handling_seconds",
      help: "Time from an RPC's head to its status in seconds.",
      labels: labels
    )
  }

  /// For `Router.intercept`.
  func intercept(
    _ context: ServerContext,
    _ handler: @Sendable () async throws -> Void
  ) async throws {
    let request = RequestContext(metadata: context.metadata)
    let method = context.method
    started[method.kind.metricsName, method.service, method.method].add()
    var echo = Metadata()
    echo.add(request.requestID, for: RequestContext.requestIDName)
    context.setInitialMetadata(echo)
    let clock = ContinuousClock()
    let start = clock.now
    try await RequestContext.$current.withValue(request) {
      do {
        try await handler()
        logAccess(context, .ok, start.duration(to: clock.now), nil)
      } catch {
        // An answer that is an error alone has no head, only trailers.
        var trailing = context.trailingMetadata
        if trailing.first(RequestContext.requestIDName) == nil {
          trailing.add(request.requestID, for: RequestContext.requestIDName)
          context.setTrailingMetadata(trailing)
        }
        logAccess(context, Self.status(of: error, context), start.duration(to: clock.now), error)
        throw error
      }
    }
  }

  /// For `ServerConfiguration.onCallEnd`: the status here is the one that went out, also when the
  /// call ended before its handler.
  func ended(_ call: ServerCallRecord) {
    let method = call.method
    let type = method.kind.metricsName
    handled[type, method.service, method.method, call.status.metricsName].add()
    seconds[type, method.service, method.method].observe(call.duration)
  }

  /// For `ServerConfiguration.onCallRejected`.
  ///
  /// A method that does not exist counts as `unknown`: labels must not be the client's to choose.
  func rejected(_ call: RejectedCallRecord) {
    let type = (call.method?.kind ?? .unary).metricsName
    let service = call.method?.service ?? Self.unknown
    let method = call.method?.method ?? Self.unknown
    started[type, service, method].add()
    handled[type, service, method, call.error.code.metricsName].add()
    guard logsAccess else { return }
    logger.info(
      "call",
      metadata: [
        "method": "\(call.path)", "status": "\(call.error.code)",
        "peer": "\(call.remoteAddress)", "reason": "\(call.error.message)",
      ]
    )
  }

  private func logAccess(
    _ context: ServerContext,
    _ status: StatusCode,
    _ duration: Duration,
    _ error: (any Error)?
  ) {
    guard logsAccess else { return }
    let level: Logger.Level =
      switch status {
      case .unknown, .internal, .dataLoss: .error
      default: Self.quietServices.contains(context.method.service) ? .debug : .info
      }
    guard level >= logger.logLevel else { return }
    let milliseconds = (duration.inSeconds * 1e6).rounded() / 1e3
    var metadata: Logger.Metadata = [
      "method": "\(context.method.path)", "status": "\(status)",
      "duration_ms": "\(milliseconds)", "peer": "\(context.remoteAddress)",
    ]
    if let error = error as? RPCError { metadata["reason"] = "\(error.message)" }
    logger.log(level: level, "call", metadata: metadata)
  }

  /// The status that RPC makes of a handler's error.
  private static func status(of error: any Error, _ context: ServerContext) -> StatusCode {
    switch error {
    case let error as RPCError: error.code
    case is CancellationError:
      (context.deadline?.remaining ?? .seconds(1)) <= .zero ? .deadlineExceeded : .cancelled
    default: .unknown
    }
  }
}

extension MethodKind {
  /// As the gRPC ecosystem's metrics spell it.
  var metricsName: String {
    switch self {
    case .unary: "unary"
    case .clientStreaming: "client_stream"
    case .serverStreaming: "server_stream"
    case .bidirectional: "bidi_stream"
    }
  }
}

extension StatusCode {
  /// The code as gRPC's Go library and its metrics spell it, such as `DeadlineExceeded`.
  var metricsName: String {
    switch self {
    case .ok: "OK"
    case .cancelled: "Canceled"
    default:
      description.split(separator: "_").map { $0.prefix(1) + $0.dropFirst().lowercased() }.joined()
    }
  }
}
