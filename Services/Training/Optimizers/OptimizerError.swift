/// Why an optimizer could not be made, stepped or restored.
package struct OptimizerError: Error, Sendable, CustomStringConvertible {
  /// The kind of error.
  package enum Code: Sendable, Hashable {
    /// An option is outside its range, or the parameters make no sense.
    case invalidArgument
    /// The gradient or the loss is infinite or not a number; nothing has been stepped.
    case notFinite
    /// A saved state is not one of this optimizer over these parameters.
    case invalidState
    /// The system refused the memory for the state.
    case memoryLimit
  }

  /// The kind of error.
  package let code: Code
  /// The operation and the values, for people.
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
