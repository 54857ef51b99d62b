package import Databases
package import Files

/// What went wrong in the store of jobs, in words that name the operation and the values.
///
/// The service's `ErrorMapping.swift` translates it into a status.
package struct JobStoreError: Error, Sendable, CustomStringConvertible {
  /// The kinds of failure a caller can act upon.
  package enum Code: String, Sendable, CaseIterable {
    /// The request itself is malformed.
    case invalidArgument
    /// There is no such job.
    case notFound
    /// The idempotency key was used for another request.
    case alreadyExists
    /// The job is not in a state for this, or the store is in use or from a newer release.
    case failedPrecondition
    /// A named limit, or a table of the system, is full.
    case resourceExhausted
    /// The disk, or a quota of it, is full.
    case storageFull
    /// The database is damaged.
    case dataLoss
    /// The task was cancelled.
    case cancelled
    /// The operating system or SQLite failed in a way the caller cannot repair.
    case internalFailure
  }

  /// The kind of failure.
  package let code: Code
  /// One line for people: operation and values.
  package let message: String
  /// The error underneath, for logs.
  package let cause: (any Error)?

  /// An error; see the properties.
  package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
    self.code = code
    self.message = message
    self.cause = cause
  }

  /// The message.
  package var description: String { message }
}

extension JobStoreError: FileFailure {
  /// The error of an operation on a file, with the code that fits the cause.
  package static func refused(
    _ operation: FileOperation,
    _ path: String,
    _ cause: SystemCallError
  ) -> JobStoreError {
    let code: Code =
      switch cause.kind {
      case .missing, .forbidden: .failedPrecondition
      case .full: cause.isOfStorage ? .storageFull : .resourceExhausted
      case .other: .internalFailure
      }
    return JobStoreError(code, "\(operation.rawValue) \(path): \(cause)", cause: cause)
  }

  /// The error of a file or folder that is larger than allowed.
  package static func excessive(
    _ operation: FileOperation,
    _ path: String,
    _ excess: String
  ) -> JobStoreError {
    JobStoreError(.resourceExhausted, "\(operation.rawValue) \(path): \(excess)")
  }
}

extension JobStoreError: DatabaseFailure {
  /// The error of an operation on the database, with the code that fits the problem.
  package static func database(
    _ problem: DatabaseProblem,
    _ message: String,
    cause: (any Error)?
  ) -> JobStoreError {
    let code: Code =
      switch problem {
      case .damaged: .dataLoss
      case .full: .storageFull
      case .forbidden, .newer: .failedPrecondition
      case .cancelled: .cancelled
      case .failed: .internalFailure
      }
    return JobStoreError(code, message, cause: cause)
  }
}
