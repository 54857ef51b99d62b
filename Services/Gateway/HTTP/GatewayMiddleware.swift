import HTTPTypes
import Hummingbird
import Logging
import ServiceKit

/// The outermost layer of every request: its id, the limit of requests at once, metrics, and the
/// one place where errors become answers.
struct GatewayMiddleware: RouterMiddleware {
  typealias Context = HTTPContext

  let load: RequestLoad
  let logger: Logger
  /// Whether the process is told to end: then each answer is its connection's last, so that clients go elsewhere.
  let isDraining: @Sendable () -> Bool

  func handle(
    _ request: Request,
    context: HTTPContext,
    next: (Request, HTTPContext) async throws -> Response
  ) async throws -> Response {
    let identity = ServiceKit.RequestContext(
      requestID: request.headers[.requestID],
      traceparent: request.headers[.traceparent],
      tracestate: request.headers[.tracestate]
    )
    return await ServiceKit.RequestContext.$current.withValue(identity) {
      let route = Route(path: request.uri.path)
      let method = request.method.rawValue
      let entry = load.enter(route: route, method: method)
      var response = await answer(request, context, route: route, entry: entry, next: next)
      response.headers[.requestID] = identity.requestID
      if isDraining() { response.headers[.connection] = "close" }
      // The head alone: a client would take a body for the next answer.
      if request.method == .head {
        response.body = .init()
        entry.finish(status: response.status.code)
      }
      return response
    }
  }

  private func answer(
    _ request: Request,
    _ context: HTTPContext,
    route: Route?,
    entry: RequestLoad.Entry,
    next: (Request, HTTPContext) async throws -> Response
  ) async -> Response {
    do {
      let response = try await RequestLoad.$current.withValue(entry) {
        try await next(request, context)
      }
      // A stream counts itself out at its end.
      if response.body.contentLength != nil { entry.finish(status: response.status.code) }
      return response
    } catch {
      let failure = Self.failure(of: error, route: route, request: request)
      log(failure, route: route)
      entry.finish(status: failure.status)
      return Response.error(failure)
    }
  }

  private static func failure(
    of error: any Error,
    route: Route?,
    request: Request
  ) -> GatewayError {
    switch error {
    case let error as GatewayError: return error
    case is CancellationError: return .clientClosed
    case let error as HTTPError where error.status == .notFound:
      guard let route else {
        return GatewayError(
          .notFound,
          "Unknown path: \(request.method.rawValue) \(request.uri.path.quotable).",
          reason: "unknown_url"
        )
      }
      return GatewayError(
        .methodNotAllowed,
        "Not allowed to \(request.method.rawValue.quotable) on \(route.rawValue) "
          + "(allowed: \(route.allow)).",
        allow: route.allow
      )
    case let error as HTTPError where (400..<500).contains(error.status.code):
      return GatewayError(.invalidRequest, error.body ?? error.status.reasonPhrase, cause: error)
    default: return .internalFailure(cause: error)
    }
  }

  private func log(_ failure: GatewayError, route: Route?) {
    let level: Logger.Level =
      switch failure.code {
      case .internalFailure, .storageFull: .error
      case .unavailable, .deadlineExceeded, .overloaded: .warning
      default: .debug
      }
    var metadata: Logger.Metadata = [
      "route": "\(route?.rawValue ?? Route.unmatched)", "status": "\(failure.status)",
    ]
    if let cause = failure.cause { metadata["cause"] = "\(cause)" }
    logger.log(level: level, "request failed: \(failure.message)", metadata: metadata)
  }
}
