package import Files

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
    /// Something is asked for that no suite can be.
    case invalidRequest
    /// The suite did not become what was asked for in time.
    case changeFailed
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

extension SupervisionError: FileFailure {
  /// `files`, from an operation that the system refused.
  package static func refused(
    _ operation: FileOperation,
    _ path: String,
    _ cause: SystemCallError
  ) -> SupervisionError {
    SupervisionError(.files, "cannot \(operation.rawValue) \(path): \(cause)", cause: cause)
  }

  /// `files`, from a file that is too large.
  package static func excessive(
    _ operation: FileOperation,
    _ path: String,
    _ excess: String
  ) -> SupervisionError {
    SupervisionError(.files, "cannot \(operation.rawValue) \(path): it has \(excess)")
  }
}
