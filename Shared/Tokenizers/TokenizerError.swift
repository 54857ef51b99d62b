package import Files
import JSON

/// Why a tokenizer could not be loaded, or a text not encoded, decoded or rendered.
package struct TokenizerError: Error, Sendable {
  /// What kind of failure it is, for callers that answer kinds differently.
  package enum Code: Sendable, Hashable {
    /// A file is missing, damaged or contradicts itself.
    case invalidFile
    /// A file asks for a component or a setting that is not implemented.
    case unsupported
    /// The caller's arguments make no sense: an unknown id, a window too small for its specials.
    case invalidArgument
    /// A named limit of `TokenizerLimits` or `TemplateLimits` would be exceeded.
    case limitExceeded
    /// A chat template is not valid or failed while it ran.
    case template
    /// The chat template itself refused the conversation (`raise_exception`).
    case refusedByTemplate
  }

  /// The kind of failure.
  package var code: Code
  /// One line that names the operation and the values; never contains the text being encoded.
  package var message: String
  /// What led to it, if another error did.
  package var cause: (any Error)?

  /// Creates an error; the message is cut after `TokenizerLimits.messageScalarsMax`.
  package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
    self.code = code
    self.message = message.excerpt(TokenizerLimits.messageScalarsMax)
    self.cause = cause
  }
}

extension TokenizerError: CustomStringConvertible {
  /// The message, then the cause if there is one.
  package var description: String {
    if let cause { "\(message) (\(cause))" } else { message }
  }
}

extension TokenizerError: FileFailure {
  /// The error of an operation on a file: `invalidFile`.
  package static func refused(
    _ operation: FileOperation,
    _ path: String,
    _ cause: SystemCallError
  ) -> TokenizerError {
    TokenizerError(.invalidFile, "\(operation.rawValue) \(path): \(cause)")
  }

  /// The error of a file that is larger than allowed.
  package static func excessive(
    _ operation: FileOperation,
    _ path: String,
    _ excess: String
  ) -> TokenizerError {
    TokenizerError(.limitExceeded, "\(operation.rawValue) \(path): \(excess)")
  }
}
