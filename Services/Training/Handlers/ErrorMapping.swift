package import JobStore
package import RPC

extension RPCError {
  /// What a caller is told of the store's error: the only place where the one becomes the other.
  package init(_ error: JobStoreError) {
    let code: StatusCode =
      switch error.code {
      case .invalidArgument: .invalidArgument
      case .notFound: .notFound
      case .alreadyExists: .alreadyExists
      case .failedPrecondition: .failedPrecondition
      case .resourceExhausted: .resourceExhausted
      case .dataLoss: .dataLoss
      case .cancelled: .cancelled
      case .internalFailure: .internal
      }
    self.init(code, error.message, cause: error)
  }
}
