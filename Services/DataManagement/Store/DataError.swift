package import Databases
package import Files
import Glibc

/// What went wrong in the registry, in words that name the operation and the values.
///
/// Leaf code throws this type only; the service's `ErrorMapping.swift` translates it into a status.
package struct DataError: Error, Sendable, CustomStringConvertible {
  /// The kinds of failure a caller can act upon.
  package enum Code: String, Sendable, CaseIterable {
    /// The request itself is malformed: a bad name, reference, alias or path.
    case invalidArgument
    /// There is no such model, version, alias or folder.
    case notFound
    /// The folder to import is not a sound model, or the store is in use by another process.
    case failedPrecondition
    /// A named limit, or a table of the system, is full.
    case resourceExhausted
    /// The disk, or a quota of it, is full.
    case storageFull
    /// A file of the store is missing or damaged.
    case dataLoss
    /// The task was cancelled.
    case cancelled
    /// The operating system or SQLite failed in a way the caller cannot repair.
    case internalFailure
  }

  /// The kind of failure.
  package let code: Code
  /// One line for people: operation, file names and values.
  package let message: String
  /// The error underneath, for logs.
  package let cause: (any Error)?

  /// An error of a kind, with a message and, where there is one, the error underneath.
  package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
    self.code = code
    self.message = message
    self.cause = cause
  }

  /// The message.
  package var description: String { message }
}

extension DataError: FileFailure {
  /// The error of an operation on a file, with the code that fits the cause.
  package static func refused(
    _ operation: FileOperation,
    _ path: String,
    _ cause: SystemCallError
  ) -> DataError {
    if operation == .link, [EPERM, EXDEV].contains(cause.number) {
      let message = "link \(path): the file system has no hard links"
      return DataError(.failedPrecondition, message, cause: cause)
    }
    let code: Code =
      switch cause.kind {
      case .missing: .notFound
      case .full: cause.isOfStorage ? .storageFull : .resourceExhausted
      case .forbidden: .failedPrecondition
      case .other: .internalFailure
      }
    return DataError(code, "\(operation.rawValue) \(path): \(cause)", cause: cause)
  }

  /// The error of a file or folder that is larger than allowed.
  package static func excessive(
    _ operation: FileOperation,
    _ path: String,
    _ excess: String
  ) -> DataError {
    DataError(.resourceExhausted, "\(operation.rawValue) \(path): \(excess)")
  }
}

extension DataError: DatabaseFailure {
  /// The error of an operation on the database, with the code that fits the problem.
  package static func database(
    _ problem: DatabaseProblem,
    _ message: String,
    cause: (any Error)?
  ) -> DataError {
    let code: Code =
      switch problem {
      case .damaged: .dataLoss
      case .full: .storageFull
      case .forbidden, .newer: .failedPrecondition
      case .cancelled: .cancelled
      case .failed: .internalFailure
      }
    return DataError(code, message, cause: cause)
  }
}

/// File operations with the store's errors.
package typealias FileSystem = FileOperations<DataError>
