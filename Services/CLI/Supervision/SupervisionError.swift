/// What can go wrong with a suite as a whole.
package struct SupervisionError: Error, Sendable, CustomStringConvertible {
  /// The kind of a failure.
  package enum Code: Sendable {
    /// A folder or file of the suite cannot be made, read or written.
    case files
    /// Another supervisor runs on the same home folder.
    case alreadyRunning
    /// No suite runs on the home folder.
    case notRunning
    /// A service ended, or did not get ready in time, at the first start.
    case startFailed
    /// The suite did not stop in time.
    case stopFailed
  }

  /// The kind of the failure.
  package let code: Code
  /// One line for the user.
  package let message: String
  /// The error below, if there is one.
  package let cause: (any Error)?

  /// An error with its one line for the user.
  package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
    self.code = code
    self.message = message
    self.cause = cause
  }

  /// The message.
  package var description: String { message }
}
