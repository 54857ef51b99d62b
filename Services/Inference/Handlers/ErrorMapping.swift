import Generation
import Models
import RPC
import Tokenizers

/// Runs `body` and turns the errors of the domain into what a caller is told: the only place where they meet.
func rpcErrors<Result>(_ body: () throws -> Result) throws -> Result {
  do {
    return try body()
  } catch {
    throw mapped(error)
  }
}

/// Runs `body` and turns the errors of the domain into what a caller is told.
func rpcErrors<Result>(_ body: () async throws -> Result) async throws -> Result {
  do {
    return try await body()
  } catch {
    throw mapped(error)
  }
}

private func mapped(_ error: any Error) -> any Error {
  switch error {
  case let error as GenerationError: RPCError(error.statusCode, error.message, cause: error)
  case let error as ModelError: RPCError(error.statusCode, error.message, cause: error)
  case let error as TokenizerError: RPCError(.failedPrecondition, error.message, cause: error)
  default: error
  }
}

extension GenerationError {
  fileprivate var statusCode: StatusCode {
    switch code {
    case .invalidArgument, .contextExceeded: .invalidArgument
    case .overloaded: .resourceExhausted
    case .shutDown, .unavailable: .unavailable
    case .readerStalled: .aborted
    case .modelFailure: .internal
    }
  }
}

extension ModelError {
  fileprivate var statusCode: StatusCode {
    switch code {
    case .invalidInput, .capacityExceeded: .invalidArgument
    case .invalidModel, .unsupported: .failedPrecondition
    case .memoryLimit: .resourceExhausted
    case .internal: .internal
    }
  }
}
