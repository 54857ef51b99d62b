/// What counts the calls of one server or client: a few counters of a metrics library.
///
/// Called on event loops and on the tasks of calls; must not block.
public protocol CallMetrics: Sendable {
  /// A call began; nil stands for a method that does not exist, whose name is the client's to choose.
  func started(_ method: MethodDescriptor?)

  /// A call ended with the status that went over the wire; `duration` is nil for a call that reached
  /// no handler.
  func ended(_ method: MethodDescriptor?, _ status: StatusCode, _ duration: Duration?)
}

/// Tells ``CallMetrics`` of every call.
///
/// At a client it is an interceptor and nothing else. At a server the interceptor sees calls begin,
/// but their end belongs to the connection, which knows the status that went out also where a call
/// ended before its handler: ``install(in:_:)`` does both.
public struct CallCounter: ServerInterceptor, ClientInterceptor {
  private let metrics: any CallMetrics

  /// Creates a counter.
  public init(_ metrics: any CallMetrics) {
    self.metrics = metrics
  }

  /// Counts the calls of the methods that were added to `router` so far, and those that reach none;
  /// what `configuration` has for that already still hears of them.
  public func install(in router: inout Router, _ configuration: inout ServerConfiguration) {
    router.intercept(self)
    let (end, rejection) = (configuration.onCallEnd, configuration.onCallRejected)
    configuration.onCallEnd = { call in
      ended(call)
      end?(call)
    }
    configuration.onCallRejected = { call in
      rejected(call)
      rejection?(call)
    }
  }

  /// Counts the begin of a call.
  public func intercept(
    _ context: ServerContext,
    _ handler: @Sendable () async throws -> Void
  ) async throws {
    metrics.started(context.method)
    try await handler()
  }

  /// Counts a call of a client.
  public func begin(_ method: MethodDescriptor, _ options: inout CallOptions) -> End? {
    metrics.started(method)
    return { end in metrics.ended(method, end.error?.code ?? .ok, end.duration) }
  }

  /// For `ServerConfiguration.onCallEnd`.
  public func ended(_ call: ServerCallRecord) {
    // The interceptor has seen those alone that reached their handlers.
    if !call.reachedHandler { metrics.started(call.method) }
    metrics.ended(call.method, call.status, call.duration)
  }

  /// For `ServerConfiguration.onCallRejected`.
  public func rejected(_ call: RejectedCallRecord) {
    metrics.started(call.method)
    metrics.ended(call.method, call.error.code, nil)
  }
}
