import ServiceKit

/// The gateway's metrics.
///
/// Labels come from closed lists, never from what a client sent.
struct GatewayMetrics: Sendable {
  let inFlight: GaugeFamily
  let timeToFirstToken: HistogramFamily
  private let requests: CounterFamily
  private let durations: HistogramFamily

  init(_ registry: MetricsRegistry) {
    inFlight = registry.gauge(
      "gateway_http_requests_in_flight",
      help: "Requests whose answer is not complete."
    )
    timeToFirstToken = registry.histogram(
      "gateway_time_to_first_token_seconds",
      help: "From a chat request's head to the first event of its generation."
    )
    requests = registry.counter(
      "gateway_http_requests_total",
      help: "Requests answered; 499: the client went away.",
      labels: ["route", "method", "status"]
    )
    durations = registry.histogram(
      "gateway_http_request_duration_seconds",
      help: "From a request's head to its answer's end.",
      labels: ["route", "method"]
    )
  }

  /// Counts a request whose answer is complete.
  func record(route: String, method: String, status: Int, duration: Duration) {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    let method = known.contains(method) ? method : "other"
    requests[route, method, String(status)].add()
    durations[route, method].observe(duration)
  }
}
