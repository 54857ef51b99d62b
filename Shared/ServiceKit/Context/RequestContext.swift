package import RPC

/// What travels with a request from service to service: its id for the logs and the caller's place
/// in a trace.
///
/// It is a task local: handlers and the tasks they start read it, log lines carry its id, and
/// outgoing calls take it along (`CallOptions.inheriting`).
package struct RequestContext: Sendable, Equatable {
  /// The context of the request that the current task works for.
  @TaskLocal package static var current: RequestContext?

  /// The metadata name of the request id.
  package static let requestIDName = "x-request-id"
  /// Longest request id taken from a caller, in bytes.
  package static let requestIDBytesMax = 128

  /// The request's id: the caller's or a fresh one.
  package let requestID: String
  /// The caller's place in a trace, passed on as it came; nil if absent or malformed.
  package let trace: TraceContext?

  /// Creates a context from what a caller sent; whatever is absent or malformed is replaced (the
  /// id) or left out (the trace).
  package init(requestID: String? = nil, traceparent: String? = nil, tracestate: String? = nil) {
    self.requestID = requestID.flatMap { Self.isValid(requestID: $0) ? $0 : nil } ?? Self.freshID()
    trace = traceparent.flatMap { TraceContext(parent: $0, state: tracestate) }
  }

  /// Takes the context of a call's metadata.
  package init(metadata: Metadata) {
    let id = metadata.first(Self.requestIDName)
    requestID = id.flatMap { Self.isValid(requestID: $0) ? $0 : nil } ?? Self.freshID()
    trace = TraceContext(metadata)
  }

  /// Whether a caller's id may be taken over: 1 to 128 letters, digits and `-_.:`, so that it is
  /// safe in logs, headers and file names alike.
  package static func isValid(requestID: String) -> Bool {
    (1...requestIDBytesMax).contains(requestID.utf8.count)
      && requestID.utf8.allSatisfy { byte in
        isAlphanumeric(byte) || "-_.:".utf8.contains(byte)
      }
  }

  /// A new id: 128 random bits in hexadecimal.
  package static func freshID() -> String {
    var generator = SystemRandomNumberGenerator()
    return (0..<2).map { _ in
      let hex = String(generator.next() as UInt64, radix: 16)
      return String(repeating: "0", count: 16 - hex.count) + hex
    }.joined()
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
  }
}
