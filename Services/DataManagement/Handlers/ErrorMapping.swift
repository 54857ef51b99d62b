package import RPC
package import Store

extension RPCError {
  /// What a caller is told of a registry's error: the only place where the one becomes the other.
  package init(_ error: DataError) {
    let code: StatusCode =
      switch error.code {
      case .invalidArgument: .invalidArgument
      case .notFound: .notFound
      case .failedPrecondition: .failedPrecondition
      case .resourceExhausted: .resourceExhausted
      case .dataLoss: .dataLoss
      case .cancelled: .cancelled
      case .internalFailure: .internal
      }
    self.init(code, error.message, cause: error)
  }
}
