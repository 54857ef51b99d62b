package import Files
import JSON

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// What is wrong with a checkpoint: a file that is missing, damaged or of a kind that is not supported.
package struct CheckpointError: Error, Sendable, CustomStringConvertible {
  /// The closed set of reasons.
  package enum Code: Sendable, Hashable {
    /// The file or folder does not exist.
    case notFound
    /// The operating system refused to open, read or map the file.
    case unreadable
    /// The file's content contradicts its format.
    case malformed
    /// The content is well formed, but describes something that is not supported.
    case unsupported
    /// The file holds no tensor of the name asked for.
    case missingTensor
    /// The operating system refused to create or write the file.
    case unwritable
  }

  /// The reason, for programs.
  package let code: Code
  /// The name of the file at fault, without its folder.
  package let file: String
  /// The reason, for people: names the file, the tensor or key, and the values at fault.
  package let message: String
  /// The error beneath this one, where there is one.
  package let cause: (any Error)?

  /// The longest message, in Unicode scalars.
  private static let messageScalarsMax = 1_000

  /// Creates an error about `file` (its last path component is kept); the message starts with it.
  package init(_ code: Code, file: String, _ message: String, cause: (any Error)? = nil) {
    let name = file.split(separator: "/").last.map(String.init) ?? file
    self.code = code
    self.file = name
    self.message = "\(name): \(message)".excerpt(Self.messageScalarsMax)
    self.cause = cause
  }

  /// The message.
  package var description: String { message }
}

extension CheckpointError: FileFailure {
  /// The error of an operation on a file: `notFound`, `unreadable` or `unwritable`.
  package static func refused(
    _ operation: FileOperation,
    _ path: String,
    _ cause: SystemCallError
  ) -> CheckpointError {
    let (code, participle): (Code, String) =
      switch operation {
      case .open, .lock: (cause.isAbsence ? .notFound : .unreadable, "opened")
      case .read, .list: (.unreadable, "read")
      case .map: (.unreadable, "mapped")
      case .stat: (.unreadable, "examined")
      case .create: (.unwritable, "created")
      case .write, .sync: (.unwritable, "written")
      case .link, .rename: (.unwritable, "renamed")
      case .remove: (.unwritable, "removed")
      }
    return CheckpointError(code, file: path, "cannot be \(participle): \(cause)", cause: cause)
  }

  /// The error of a file that is larger than allowed.
  package static func excessive(
    _ operation: FileOperation,
    _ path: String,
    _ excess: String
  ) -> CheckpointError {
    CheckpointError(.malformed, file: path, excess)
  }
}

extension SystemCallError {
  /// Whether the file, or a folder on the way to it, does not exist.
  fileprivate var isAbsence: Bool { [ENOENT, ENOTDIR].contains(number) }
}
