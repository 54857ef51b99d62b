/// Passes the trace of the call that a server handles on to the calls that its handler makes.
///
/// For both roles: the server's part sets `TraceContext.current`, the client's adds it to the
/// metadata of calls that carry none. Where there is no trace one begins.
public struct TracePropagation: ServerInterceptor, ClientInterceptor {
  private let beginsTraces: Bool

  /// Creates the interceptor; with `beginsTraces` false calls without a trace stay without.
  public init(beginsTraces: Bool = true) {
    self.beginsTraces = beginsTraces
  }

  /// Handles the call within its trace.
  public func intercept(
    _ context: ServerContext,
    _ handler: @Sendable () async throws -> Void
  ) async throws {
    let trace = TraceContext(context.metadata) ?? (beginsTraces ? .fresh() : nil)
    try await TraceContext.$current.withValue(trace, operation: handler)
  }

  /// Adds the task's trace.
  public func begin(_ method: MethodDescriptor, _ options: inout CallOptions) -> End? {
    guard options.metadata.first(TraceContext.parentName) == nil else { return nil }
    let trace = TraceContext.current ?? (beginsTraces ? .fresh() : nil)
    trace?.add(to: &options.metadata)
    return nil
  }
}
