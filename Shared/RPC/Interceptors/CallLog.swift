public import Logging

/// Writes one line per call with its method, status, duration and peer, and why it failed.
///
/// For both roles. A server's line is written by the task that served the call, so that what the
/// logger takes from task locals is there. Calls that reach no handler are logged by ``rejected(_:)`` and
/// ``ended(_:)``; ``install(in:_:)`` sees to all of them.
public struct CallLog: ServerInterceptor, ClientInterceptor {
  private let logger: Logger
  private let quietServices: Set<String>

  /// Creates a log; calls of `quietServices` that do not fail by a defect have the level `debug`.
  public init(_ logger: Logger, quietServices: Set<String> = ["grpc.health.v1.Health"]) {
    self.logger = logger
    self.quietServices = quietServices
  }

  /// Logs the calls of the methods that were added to `router` so far, and those that reach none; what
  /// `configuration` has for that already still hears of them.
  public func install(in router: inout Router, _ configuration: inout ServerConfiguration) {
    router.intercept(self)
    observeEnds(&configuration)
  }

  /// Logs the calls that end before their handlers; of ``install(in:_:)`` the part without an interceptor.
  public func observeEnds(_ configuration: inout ServerConfiguration) {
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

  /// The level of a status: an error where the server is to blame, else `info`.
  public static func level(of status: StatusCode) -> Logger.Level {
    switch status {
    case .unknown, .internal, .dataLoss: .error
    default: .info
    }
  }

  /// Logs a call when its handler has ended.
  public func intercept(
    _ context: ServerContext,
    _ handler: @Sendable () async throws -> Void
  ) async throws {
    let clock = ContinuousClock()
    let start = clock.now
    do {
      try await handler()
      ended(context, .ok, start.duration(to: clock.now), nil)
    } catch {
      ended(context, context.status(of: error), start.duration(to: clock.now), error)
      throw error
    }
  }

  /// Logs a call of a client when it is over.
  public func begin(_ method: MethodDescriptor, _ options: inout CallOptions) -> End? {
    { end in
      write(
        method,
        end.error?.code ?? .ok,
        end.duration,
        peer: end.peer ?? "none",
        reason: end.error?.message,
        attempts: end.attempts
      )
    }
  }

  /// For `ServerConfiguration.onCallEnd`: logs a call that ended before its handler was called.
  public func ended(_ call: ServerCallRecord) {
    guard !call.reachedHandler else { return }
    write(
      call.method,
      call.status,
      call.duration,
      peer: call.remoteAddress,
      reason: call.error?.message
    )
  }

  /// For `ServerConfiguration.onCallRejected`.
  public func rejected(_ call: RejectedCallRecord) {
    logger.info(
      "call",
      metadata: [
        "method": "\(call.path)", "status": "\(call.error.code)",
        "peer": "\(call.remoteAddress)", "reason": "\(call.error.message)",
      ]
    )
  }

  /// Logs a call that a server has answered, for interceptors of which the log is a part.
  public func ended(
    _ context: ServerContext,
    _ status: StatusCode,
    _ duration: Duration,
    _ error: (any Error)?
  ) {
    // What is no RPCError may tell of the inside, and is logged by the server itself.
    let reason = (error as? RPCError)?.message
    write(context.method, status, duration, peer: context.remoteAddress, reason: reason)
  }

  private func write(
    _ method: MethodDescriptor,
    _ status: StatusCode,
    _ duration: Duration,
    peer: String,
    reason: String?,
    attempts: Int = 1
  ) {
    var level = Self.level(of: status)
    if level == .info, quietServices.contains(method.service) { level = .debug }
    guard level >= logger.logLevel else { return }
    let microseconds = duration.clampedNanoseconds / 1_000
    var metadata: Logger.Metadata = [
      "method": "\(method.path)", "status": "\(status)",
      "duration_ms": "\(Double(microseconds) / 1_000)", "peer": "\(peer)",
    ]
    if let reason { metadata["reason"] = "\(reason)" }
    if attempts > 1 { metadata["attempts"] = "\(attempts)" }
    logger.log(level: level, "call", metadata: metadata)
  }
}
