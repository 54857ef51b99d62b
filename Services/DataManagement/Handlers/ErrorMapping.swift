package import RPC
import ServiceKit
package import Store

extension RPCError {
  /// What a caller is told of a registry's error: the only place where the one becomes the other.
  package init(_ error: DataError) {
    let code: StatusCode =
      switch error.code {
      case .invalidArgument: .invalidArgument
      case .notFound: .notFound
      case .failedPrecondition: .failedPrecondition
      case .resourceExhausted, .storageFull: .resourceExhausted
      case .dataLoss: .dataLoss
      case .cancelled: .cancelled
      case .internalFailure: .internal
      }
    let reason = error.code == .storageFull ? FailureReason.storageFull : nil
    self.init(code, error.message, metadata: reason?.metadata ?? Metadata(), cause: error)
  }
}
