/// What the admin endpoint answers; knows no sockets.
struct AdminResponder: Sendable {
  struct Response: Sendable, Equatable {
    var status: Int
    var contentType = "text/plain; charset=utf-8"
    var body: String
    /// The value of the `Allow` header, for status 405.
    var allow: String?
  }

  /// Longest request target in bytes.
  static let targetBytesMax = 2048

  let metrics: MetricsRegistry
  let health: HealthRegistry

  /// Answers a request; for `HEAD` the body is left out by the sender.
  func response(method: String, target: String) -> Response {
    guard target.utf8.count <= Self.targetBytesMax else {
      return Response(status: 414, body: "URI too long\n")
    }
    let path = target.prefix { $0 != "?" && $0 != "#" }
    guard ["/livez", "/readyz", "/metrics"].contains(path) else {
      return Response(status: 404, body: "not found; try /livez, /readyz or /metrics\n")
    }
    guard method == "GET" || method == "HEAD" else {
      return Response(status: 405, body: "method not allowed\n", allow: "GET, HEAD")
    }
    switch path {
    case "/livez": return report("livez", health.liveness())
    case "/readyz": return report("readyz", health.readiness())
    default:
      return Response(
        status: 200,
        contentType: MetricsRegistry.expositionType,
        body: metrics.exposition()
      )
    }
  }

  /// The checks one per line, as the Kubernetes API server's verbose endpoints list them.
  private func report(_ name: String, _ checks: [HealthRegistry.CheckResult]) -> Response {
    var body = ""
    for check in checks {
      if let failure = check.failure {
        body += "[-]\(check.name) failed: \(failure.escapedForOneLine())\n"
      } else {
        body += "[+]\(check.name) ok\n"
      }
    }
    let failed = checks.contains { $0.failure != nil }
    body += "\(name) check \(failed ? "failed" : "passed")\n"
    return Response(status: failed ? 503 : 200, body: body)
  }
}
