/// Sees every call of the methods that a router wraps with it: to log, count, trace or refuse it.
public protocol ServerInterceptor: Sendable {
  /// Runs in the handler's place; calls it through `handler`, once or not at all.
  ///
  /// What it throws ends the call as a handler's error does.
  func intercept(
    _ context: ServerContext,
    _ handler: @Sendable () async throws -> Void
  ) async throws
}

extension Router {
  /// Wraps every method that was added so far; an interceptor that is added later is further out.
  public mutating func intercept(_ interceptor: some ServerInterceptor) {
    intercept { context, handler in try await interceptor.intercept(context, handler) }
  }
}

extension ServerContext {
  /// The status that the server makes of what a handler threw.
  public func status(of error: any Error) -> StatusCode {
    switch error {
    case let error as RPCError: error.code
    case is CancellationError: deadline?.hasPassed == true ? .deadlineExceeded : .cancelled
    default: .unknown
    }
  }
}
