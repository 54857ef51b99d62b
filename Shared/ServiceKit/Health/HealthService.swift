import RPC
import ServiceAPI

/// `grpc.health.v1.Health`, answered from the ``HealthRegistry``.
/// https://github.com/grpc/grpc/blob/master/doc/health-checking.md
struct HealthService: HealthV1.HealthService {
  let registry: HealthRegistry

  func check(
    _ request: HealthV1.HealthCheckRequest,
    context: ServerContext
  ) async throws -> HealthV1.HealthCheckResponse {
    let status = registry.status(of: request.service)
    guard status != .unknown else {
      throw RPCError(.notFound, "unknown service '\(request.service.escapedForOneLine())'")
    }
    return Self.response(status)
  }

  /// Ends with UNAVAILABLE when the server drains, so that a watcher does not hold the drain up and
  /// looks for another server.
  func watch(
    _ request: HealthV1.HealthCheckRequest,
    context: ServerContext,
    responses: ResponseWriter<HealthV1.HealthCheckResponse>
  ) async throws {
    guard let changes = registry.watch(request.service) else {
      throw RPCError(
        .resourceExhausted,
        "more than \(HealthRegistry.watchersMax) watchers of health"
      )
    }
    for await status in changes { try await responses.write(Self.response(status)) }
    try Task.checkCancellation()
    throw RPCError(.unavailable, "the server is shutting down")
  }

  private static func response(
    _ status: HealthRegistry.ServingStatus
  ) -> HealthV1.HealthCheckResponse {
    var response = HealthV1.HealthCheckResponse()
    response.status =
      switch status {
      case .serving: .serving
      case .notServing: .notServing
      case .unknown: .serviceUnknown
      }
    return response
  }
}
