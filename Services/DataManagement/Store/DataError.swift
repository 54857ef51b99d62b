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
    /// A named limit, or the disk, is full.
    case resourceExhausted
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

/// A failed system call, as `cause` of a `DataError`.
package struct SystemCallError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The value of `errno`.
  package let number: CInt

  /// The error of a value of `errno`.
  package init(number: CInt) { self.number = number }

  /// The operating system's text for the number.
  package var description: String { String(cString: strerror(number)) }
}

extension DataError {
  /// The error of a system call that has just failed; reads `errno`.
  ///
  /// - Parameters:
  ///   - operation: what was attempted, as in "copy model.safetensors".
  ///   - number: the value of `errno`, read before anything else runs.
  /// - Returns: the error, with the code that fits the number.
  package static func system(_ operation: String, _ number: CInt = errno) -> DataError {
    let cause = SystemCallError(number: number)
    let code: Code =
      switch number {
      case ENOENT: .notFound
      case ENOSPC, EDQUOT, EMFILE, ENFILE, EMLINK: .resourceExhausted
      case EACCES, EPERM, EROFS, ENOTDIR, ELOOP: .failedPrecondition
      default: .internalFailure
      }
    return DataError(code, "\(operation): \(cause)", cause: cause)
  }
}
