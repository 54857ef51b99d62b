internal import Checkpoints
internal import Tensors

/// What went wrong when a model was loaded or run.
package struct ModelError: Error, Sendable, CustomStringConvertible {
  /// The kind of error.
  package enum Code: Sendable, Hashable {
    /// A file of the model is missing, damaged or contradicts the configuration.
    case invalidModel
    /// The architecture or one of its options is not implemented.
    case unsupported
    /// The tokens of the call are wrong: none, too many, or outside the vocabulary.
    case invalidInput
    /// The sequence has no room for the tokens.
    case capacityExceeded
    /// The model or the plan of a call needs more memory than its limit allows.
    case memoryLimit
    /// The executor failed where a checked call cannot: a defect.
    case `internal`
  }

  /// The kind of error.
  package let code: Code
  /// The tensor, option or value at fault, for people.
  package let message: String
  /// The error below this one, if there is one.
  package let cause: (any Error)?

  /// Makes an error.
  package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
    self.code = code
    self.message = message
    self.cause = cause
  }

  /// Wraps an error of the executor.
  init(_ error: TensorError, _ context: String) {
    let code: Code
    switch error.code {
    case .memoryLimit: code = .memoryLimit
    case .capacityExceeded: code = .capacityExceeded
    case .indexOutOfRange: code = .invalidInput
    case .shapeMismatch, .invalidArgument: code = .internal
    }
    self.init(code, "\(context): \(error.message)", cause: error)
  }

  /// Wraps an error of the checkpoint.
  init(_ error: CheckpointError) {
    self.init(
      error.code == .unsupported ? .unsupported : .invalidModel,
      error.message,
      cause: error
    )
  }

  /// The message.
  package var description: String { message }
}
