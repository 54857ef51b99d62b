package import Files
package import RPC

/// Why rows or a model could not be brought from or to the data-management service.
package struct TransferError: Error, Sendable, CustomStringConvertible {
  /// The kinds of failure a worker acts upon.
  package enum Code: String, Sendable, CaseIterable {
    /// The service could not be reached for as long as was allowed; another attempt may succeed.
    case unavailable
    /// The service refuses, as it would the next time.
    case refused
    /// The file system refused an operation.
    case storage
    /// The caller asked to stop.
    case cancelled
  }

  /// The kind of failure.
  package let code: Code
  /// One line for people.
  package let message: String
  /// The error underneath.
  package let cause: (any Error)?

  /// An error; see the properties.
  package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
    self.code = code
    self.message = message
    self.cause = cause
  }

  /// The message.
  package var description: String { message }
}

extension TransferError: FileFailure {
  /// The error of an operation on a file: `storage`.
  package static func refused(
    _ operation: FileOperation,
    _ path: String,
    _ cause: SystemCallError
  ) -> TransferError {
    TransferError(.storage, "\(operation.rawValue) \(path): \(cause)", cause: cause)
  }

  /// The error of a file or folder that is larger than allowed: `storage`.
  package static func excessive(
    _ operation: FileOperation,
    _ path: String,
    _ excess: String
  ) -> TransferError {
    TransferError(.storage, "\(operation.rawValue) \(path): \(excess)")
  }
}

/// How long a worker goes on when the data-management service does not answer.
package struct TransferRetries: Sendable {
  /// The time without progress after which it gives up: longer than a restart of the service takes.
  package var patience: Duration = .seconds(120)
  /// The wait before the second attempt; doubled for each further one, up to `delayMax`.
  package var delay: Duration = .milliseconds(100)
  /// The longest wait between attempts.
  package var delayMax: Duration = .seconds(2)
  /// Asked between attempts; true ends them.
  package var isCancelled: @Sendable () -> Bool = { false }

  /// The defaults.
  package init() {}

  /// Makes a unary call until it succeeds, is refused for good, or the service has been away for `patience`.
  package func call<Value>(
    _ operation: String,
    _ body: (CallOptions) async throws -> Value
  ) async throws(TransferError) -> Value {
    let timeout: Duration = .seconds(60)
    return try await run(operation) { _ in
      try await body(CallOptions(timeout: max(timeout, patience), readyTimeout: patience))
    }
  }

  /// Makes calls until one succeeds, is refused for good, or nothing has moved for `patience`.
  ///
  /// - Parameters:
  ///   - operation: for messages, such as "read wikiann@1".
  ///   - body: one attempt; it calls its parameter whenever something has moved.
  /// - Returns: what the attempt that succeeded returned.
  /// - Throws: `unavailable`, `refused`, `cancelled`, or what `body` throws as a `TransferError`.
  func run<Value>(
    _ operation: String,
    _ body: (_ moved: () -> Void) async throws -> Value
  ) async throws(TransferError) -> Value {
    var lastMove = ContinuousClock.now
    var wait = delay
    while true {
      let error: RPCError
      do {
        return try await body {
          lastMove = .now
          wait = delay
        }
      } catch let failure as TransferError {
        throw failure
      } catch let failure as RPCError {
        error = failure
      } catch {
        throw TransferError(.storage, "\(operation): \(error)", cause: error)
      }
      guard !error.isFinal else {
        throw TransferError(.refused, "\(operation): \(error.message)", cause: error)
      }
      guard !isCancelled() else { throw TransferError(.cancelled, "\(operation): cancelled") }
      guard lastMove.duration(to: .now) < patience else {
        throw TransferError(
          .unavailable,
          "\(operation): nothing moved for \(patience): \(error.message)",
          cause: error
        )
      }
      // Cancellation ends the wait; the attempt that follows then fails at once.
      try? await Task.sleep(for: wait)
      wait = min(wait * 2, delayMax)
    }
  }
}

extension RPCError {
  /// Whether the same call would fail the same way again.
  fileprivate var isFinal: Bool {
    switch code {
    case .invalidArgument, .notFound, .alreadyExists, .permissionDenied, .failedPrecondition,
      .outOfRange, .unimplemented, .dataLoss, .unauthenticated:
      true
    default: false
    }
  }
}
