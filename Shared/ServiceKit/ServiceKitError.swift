/// What went wrong in configuring, starting or running a service.
package struct ServiceKitError: Error, Sendable, CustomStringConvertible {
  /// The closed list of what can go wrong here.
  package enum Code: Sendable, Hashable {
    /// An option, its value, or the configuration file is wrong; the start is refused.
    case invalidConfiguration
    /// A listener could not be opened, most often because its port is in use.
    case listenFailed
    /// The service could not be built or one of its parts failed to start.
    case startFailed
    /// A part of the service ended or failed while the service was meant to run.
    case runFailed
    /// The running service is not ready, or there is none.
    case notReady
  }

  /// The kind of failure.
  package let code: Code
  /// One line: what was attempted, with the values that matter, never with a secret.
  package let message: String
  /// The error underneath, if there is one.
  package let cause: (any Error)?

  /// Creates an error.
  package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
    self.code = code
    self.message = message
    self.cause = cause
  }

  /// The message and, if there is one, the cause.
  package var description: String {
    guard let cause else { return message }
    return "\(message): \(cause)"
  }
}
