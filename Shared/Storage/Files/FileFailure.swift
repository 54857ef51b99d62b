#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// What was asked of the file system; the raw value is the verb in messages.
package enum FileOperation: String, Sendable, CaseIterable {
  case open, read, map, list, stat, create, write, sync, link, remove, lock
  case rename = "rename to"
}

/// A system call that failed, as the cause of a module's error.
package struct SystemCallError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What a caller can do about a failure.
  package enum Kind: Sendable {
    /// There is no such file or folder.
    case missing
    /// The disk, a quota or a table of the system is full.
    case full
    /// The path may not be used so: permissions, a read-only file system, a symbolic link.
    case forbidden
    /// Nothing a caller could repair.
    case other
  }

  /// The value of `errno`.
  package let number: CInt

  /// The error of a value of `errno`.
  package init(number: CInt) { self.number = number }

  /// The kind of failure.
  package var kind: Kind {
    switch number {
    case ENOENT: .missing
    case ENOSPC, EDQUOT, EMFILE, ENFILE, EMLINK: .full
    case EACCES, EPERM, EROFS, ENOTDIR, ELOOP: .forbidden
    default: .other
    }
  }

  /// Whether a disk or a quota is what is full.
  package var isOfStorage: Bool { number == ENOSPC || number == EDQUOT }

  /// The operating system's text for the number.
  package var description: String { String(cString: strerror(number)) }
}

/// The error type of a module that works with files.
///
/// The operations of this module are generic over it, so that each caller gets errors of its own type, which
/// name the operation and the path, from one implementation.
package protocol FileFailure: Error {
  /// The error of an operation that the system refused.
  ///
  /// - Parameters:
  ///   - operation: what was attempted.
  ///   - path: on what; the path, or the name under which people know the file.
  ///   - cause: why it was refused.
  /// - Returns: the module's error.
  static func refused(_ operation: FileOperation, _ path: String, _ cause: SystemCallError) -> Self

  /// The error of a file or folder that is larger than the caller accepts.
  ///
  /// - Parameters:
  ///   - operation: what was attempted.
  ///   - path: on what.
  ///   - excess: how it exceeds which limit, as in "more than 32 entries".
  /// - Returns: the module's error.
  static func excessive(_ operation: FileOperation, _ path: String, _ excess: String) -> Self
}

extension FileFailure {
  /// The error of a system call that has just failed.
  ///
  /// - Parameters:
  ///   - operation: what was attempted.
  ///   - path: on what.
  ///   - number: the value of `errno`, read before anything else runs.
  /// - Returns: the module's error.
  package static func system(
    _ operation: FileOperation,
    _ path: String,
    _ number: CInt = errno
  ) -> Self {
    refused(operation, path, SystemCallError(number: number))
  }
}
