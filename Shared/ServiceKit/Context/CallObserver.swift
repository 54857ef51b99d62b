import Logging
import RPC

/// Watches the calls that an RPC server serves: gives each its ``RequestContext``, writes one access
/// line per call, and counts.
struct CallObserver: ServerInterceptor {
  private let log: CallLog?
  private let counter: CallCounter

  init(logger: Logger, logsAccess: Bool, metrics: MetricsRegistry) {
    // Probes call health all the time.
    log = logsAccess ? CallLog(logger, quietServices: ["grpc.health.v1.Health"]) : nil
    counter = CallCounter(RPCMetrics(metrics))
  }

  /// Watches every method of the router, and the calls that reach none.
  func install(in router: inout Router, _ configuration: inout ServerConfiguration) {
    router.intercept(self)
    log?.observeEnds(&configuration)
    // The outermost: it counts what begins, and the status that went out.
    counter.install(in: &router, &configuration)
  }

  func intercept(
    _ context: ServerContext,
    _ handler: @Sendable () async throws -> Void
  ) async throws {
    let request = RequestContext(metadata: context.metadata)
    var echo = Metadata()
    echo.add(request.requestID, for: RequestContext.requestIDName)
    context.setInitialMetadata(echo)
    let clock = ContinuousClock()
    let start = clock.now
    try await RequestContext.$current.withValue(request) {
      do {
        try await TraceContext.$current.withValue(request.trace, operation: handler)
        log?.ended(context, .ok, start.duration(to: clock.now), nil)
      } catch {
        // Callers find it in the error, whose metadata is the trailers'.
        var trailing = context.trailingMetadata
        if trailing.first(RequestContext.requestIDName) == nil {
          trailing.add(request.requestID, for: RequestContext.requestIDName)
          context.setTrailingMetadata(trailing)
        }
        log?.ended(context, context.status(of: error), start.duration(to: clock.now), error)
        throw error
      }
    }
  }
}
