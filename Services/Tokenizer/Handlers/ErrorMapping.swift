package import RPC
package import Tokenizers

extension RPCError {
  /// What a caller is told of a tokenizer's error: the only place where the one becomes the other.
  package init(_ error: TokenizerError) {
    let code: StatusCode =
      switch error.code {
      case .invalidArgument, .limitExceeded, .refusedByTemplate: .invalidArgument
      case .invalidFile, .unsupported, .template: .failedPrecondition
      }
    self.init(code, error.message, cause: error)
  }
}
