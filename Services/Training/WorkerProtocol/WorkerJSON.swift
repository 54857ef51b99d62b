package import Files

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// JSON as workers, the service and its store write it: one line, sorted keys, figures that are not finite as words.
package enum WorkerJSON {
  private static let infinity = "Infinity"
  private static let negativeInfinity = "-Infinity"
  private static let notANumber = "NaN"

  /// A value as one line of JSON, without a line break.
  package static func encode(_ value: some Encodable) throws(WorkerProtocolError) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: infinity,
      negativeInfinity: negativeInfinity,
      nan: notANumber
    )
    do {
      return [UInt8](try encoder.encode(value))
    } catch {
      throw WorkerProtocolError(.malformed, "encode \(type(of: value))", cause: error)
    }
  }

  /// The value in some JSON.
  package static func decode<Value: Decodable>(
    _ type: Value.Type,
    from bytes: some Sequence<UInt8>
  ) throws(WorkerProtocolError) -> Value {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: infinity,
      negativeInfinity: negativeInfinity,
      nan: notANumber
    )
    do {
      return try decoder.decode(type, from: Data(bytes))
    } catch {
      throw WorkerProtocolError(.malformed, "not a \(type) in JSON", cause: error)
    }
  }
}

/// What is wrong with a line or a file that a worker and its service exchange.
package struct WorkerProtocolError: Error, Sendable, CustomStringConvertible {
  /// The kinds of failure.
  package enum Code: String, Sendable {
    /// Not the JSON that was expected.
    case malformed
    /// Not started as a worker is.
    case usage
    /// The operating system refused.
    case system
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

  /// The message and what is underneath.
  package var description: String { cause.map { "\(message): \($0)" } ?? message }
}

extension WorkerProtocolError: FileFailure {
  /// The error of an operation on a file: `system`.
  package static func refused(
    _ operation: FileOperation,
    _ path: String,
    _ cause: SystemCallError
  ) -> WorkerProtocolError {
    WorkerProtocolError(.system, "\(operation.rawValue) \(path): \(cause)")
  }

  /// The error of a file that is larger than allowed: `malformed`.
  package static func excessive(
    _ operation: FileOperation,
    _ path: String,
    _ excess: String
  ) -> WorkerProtocolError {
    WorkerProtocolError(.malformed, "\(operation.rawValue) \(path): \(excess)")
  }
}
