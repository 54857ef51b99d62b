package import Files

/// Why a training run could not start, continue or finish.
package struct TrainerError: Error, Sendable, CustomStringConvertible {
  /// The kinds of failure that callers tell apart.
  package enum Code: String, Sendable, Hashable, CaseIterable {
    /// A setting is unknown or outside its range; the message names it.
    case invalidConfiguration
    /// A row is malformed; the message names the split and the row.
    case invalidData
    /// The base model is missing, damaged or not of a kind that the task trains.
    case invalidModel
    /// The run needs more memory than it may take; the message has the numbers.
    case memoryLimit
    /// The checkpoint in the work folder belongs to another configuration, data set or model.
    case checkpointMismatch
    /// The loss, a gradient or a weight is infinite or not a number.
    case diverged
    /// The caller asked the run to stop.
    case cancelled
    /// The file system refused an operation.
    case storage
    /// A defect of this module or one below it.
    case `internal`
  }

  /// The kind of failure.
  package let code: Code
  /// One line for people: the operation and the values; never the text of a row.
  package let message: String
  /// The error below this one, if there is one.
  package let cause: (any Error)?

  /// Makes an error.
  package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
    self.code = code
    self.message = message
    self.cause = cause
  }

  /// The message.
  package var description: String { message }
}

extension TrainerError {
  /// The error of a run that was asked to stop.
  static let cancelled = TrainerError(.cancelled, "the run was cancelled")
}

extension TrainerError: FileFailure {
  /// The error of an operation on a file: `storage`.
  package static func refused(
    _ operation: FileOperation,
    _ path: String,
    _ cause: SystemCallError
  ) -> TrainerError {
    TrainerError(.storage, "\(operation.rawValue) \(path): \(cause)", cause: cause)
  }

  /// The error of a file or folder that is larger than allowed: `storage`.
  package static func excessive(
    _ operation: FileOperation,
    _ path: String,
    _ excess: String
  ) -> TrainerError {
    TrainerError(.storage, "\(operation.rawValue) \(path): \(excess)")
  }
}

/// File operations with the trainer's errors.
typealias FileSystem = FileOperations<TrainerError>
