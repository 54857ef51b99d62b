import RPC

/// Counts the RPC calls of a server, by names that the gRPC ecosystem (go-grpc-middleware) uses, so
/// that its dashboards work.
struct RPCMetrics: CallMetrics {
  /// The label of a service and a method that do not exist.
  private static let unknown = "unknown"

  private let startedCount: CounterFamily
  private let handledCount: CounterFamily
  private let seconds: HistogramFamily

  init(_ metrics: MetricsRegistry) {
    let labels = ["grpc_type", "grpc_service", "grpc_method"]
    startedCount = metrics.counter(
      "grpc_server_started_total",
      help: "RPCs started on the server.",
      labels: labels
    )
    handledCount = metrics.counter(
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

  func started(_ method: MethodDescriptor?) {
    let (type, service, name) = Self.labels(method)
    startedCount[type, service, name].add()
  }

  func ended(_ method: MethodDescriptor?, _ status: StatusCode, _ duration: Duration?) {
    let (type, service, name) = Self.labels(method)
    handledCount[type, service, name, status.metricsName].add()
    if let duration { seconds[type, service, name].observe(duration) }
  }

  private static func labels(_ method: MethodDescriptor?) -> (String, String, String) {
    guard let method else { return (MethodKind.unary.metricsName, unknown, unknown) }
    return (method.kind.metricsName, method.service, method.method)
  }
}

extension MethodKind {
  /// As the gRPC ecosystem's metrics spell it.
  fileprivate var metricsName: String {
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
  fileprivate var metricsName: String {
    switch self {
    case .ok: "OK"
    case .cancelled: "Canceled"
    default:
      description.split(separator: "_").map { $0.prefix(1) + $0.dropFirst().lowercased() }.joined()
    }
  }
}
