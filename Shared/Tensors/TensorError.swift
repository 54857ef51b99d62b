/// What went wrong when a graph was built, planned or run.
package struct TensorError: Error, Sendable, CustomStringConvertible {
  /// The kind of error.
  package enum Code: Sendable, Hashable {
    /// The shapes or types of an operation's inputs do not fit together.
    case shapeMismatch
    /// A parameter of an operation is outside its range.
    case invalidArgument
    /// A token id or position in the data is outside the table that it indexes.
    case indexOutOfRange
    /// The key-value cache of the sequence is full.
    case capacityExceeded
    /// The plan or the storage needs more memory than its limit allows.
    case memoryLimit
  }

  /// The kind of error.
  package let code: Code
  /// The operation and the values that do not fit, for people.
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
