import RPC
import ServiceKit

/// The one place where a service's status becomes a gateway's answer.
extension GatewayError {
  /// A failure inside the suite: the message is safe and leads to the log by the request's id.
  static func internalFailure(cause: (any Error)?) -> GatewayError {
    let id = RequestContext.current?.requestID ?? "unknown"
    return GatewayError(
      .internalFailure,
      "The server had an error while processing your request. Request id: \(id).",
      cause: cause
    )
  }

  /// A process was lost or ended that had streamed a part of its answer.
  static func interrupted(cause: RPCError?) -> GatewayError {
    GatewayError(
      .unavailable,
      "The answer was interrupted: the process that made it has failed or was shut down. "
        + "Please retry the request.",
      reason: "stream_interrupted",
      cause: cause
    )
  }

  /// What the status that `service` answered with means for the client.
  ///
  /// `model` is the model asked for.
  init(_ error: RPCError, from service: String, model: String? = nil) {
    switch error.code {
    case .invalidArgument, .outOfRange, .failedPrecondition:
      self = .init(.invalidRequest, error.message, cause: error)
    case .notFound:
      self = model.map { .modelNotFound($0) } ?? .init(.notFound, error.message, cause: error)
    case .resourceExhausted where error.reason == .storageFull:
      self = .init(
        .storageFull,
        "The disk of the \(service) service is full: nothing was stored. Delete what is not needed.",
        cause: error
      )
    case .resourceExhausted:
      self = .init(
        .overloaded,
        "The \(service) service is overloaded. Please try again later.",
        cause: error
      )
    case .deadlineExceeded:
      self = .init(
        .deadlineExceeded,
        "The request was not answered in time by the \(service) service.",
        cause: error
      )
    case .unavailable:
      self = .init(
        .unavailable,
        "The \(service) service is not available. Please try again later.",
        cause: error
      )
    case .cancelled where Task.isCancelled: self = .clientClosed
    case .cancelled:
      // Not by us: the service is going down.
      self = .init(.unavailable, "The \(service) service ended the request.", cause: error)
    default: self = .internalFailure(cause: error)
    }
  }
}
