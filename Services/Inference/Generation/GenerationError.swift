/// Why a request is refused or a generation ended without finishing.
package struct GenerationError: Error, Sendable, CustomStringConvertible {
  /// The closed set of reasons.
  package enum Code: Sendable, Hashable {
    /// A parameter of the request is out of its range, or contradicts another.
    case invalidArgument
    /// The prompt leaves no room in the model's context.
    case contextExceeded
    /// The waiting queue is full, or the system has no memory for the sequence; the same request may succeed later.
    case overloaded
    /// The engine was shut down.
    case shutDown
    /// The system has no thread for the engine.
    case unavailable
    /// The reader took nothing for too long.
    case readerStalled
    /// The model failed on this sequence.
    case modelFailure
  }

  /// The reason, for programs.
  package let code: Code
  /// The reason, for people: names the parameter and the values; never a prompt's text.
  package let message: String
  /// The error beneath this one, where there is one.
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
