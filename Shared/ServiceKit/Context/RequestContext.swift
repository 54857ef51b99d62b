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
  /// The metadata name of the W3C trace context.
  package static let traceparentName = "traceparent"
  /// The metadata name of the W3C vendor-specific trace state.
  package static let tracestateName = "tracestate"
  /// Longest request id taken from a caller, in bytes.
  package static let requestIDBytesMax = 128
  /// Longest trace state passed on, in bytes (W3C Trace Context asks for at least 512).
  package static let tracestateBytesMax = 512

  /// The request's id: the caller's or a fresh one.
  package let requestID: String
  /// The caller's `traceparent`, passed on as it came; nil if absent or malformed.
  package let traceparent: String?
  /// The caller's `tracestate`; nil without a `traceparent`.
  package let tracestate: String?

  /// Creates a context from what a caller sent; whatever is absent or malformed is replaced (the
  /// id) or left out (the trace).
  package init(requestID: String? = nil, traceparent: String? = nil, tracestate: String? = nil) {
    self.requestID = requestID.flatMap { Self.isValid(requestID: $0) ? $0 : nil } ?? Self.freshID()
    self.traceparent = traceparent.flatMap { Self.isValid(traceparent: $0) ? $0 : nil }
    self.tracestate =
      self.traceparent == nil
      ? nil : tracestate.flatMap { Self.isValid(tracestate: $0) ? $0 : nil }
  }

  /// Whether a caller's id may be taken over: 1 to 128 letters, digits and `-_.:`, so that it is
  /// safe in logs, headers and file names alike.
  package static func isValid(requestID: String) -> Bool {
    (1...requestIDBytesMax).contains(requestID.utf8.count)
      && requestID.utf8.allSatisfy { byte in
        isAlphanumeric(byte) || "-_.:".utf8.contains(byte)
      }
  }

  /// Whether a `traceparent` has the form of W3C Trace Context: `00-<trace>-<parent>-<flags>` in
  /// lower-case hexadecimal, ids not zero; later versions may append fields.
  package static func isValid(traceparent: String) -> Bool {
    let parts = traceparent.utf8.split(
      separator: UInt8(ascii: "-"),
      maxSplits: 4,
      omittingEmptySubsequences: false
    )
    guard parts.count >= 4, zip(parts, [2, 32, 16, 2]).allSatisfy({ $0.count == $1 }),
      parts.prefix(4).allSatisfy({ $0.allSatisfy(isLowerHexadecimal) })
    else { return false }
    let zero = UInt8(ascii: "0")
    guard !parts[1].allSatisfy({ $0 == zero }), !parts[2].allSatisfy({ $0 == zero }) else {
      return false
    }
    let version = Array(parts[0])
    if version == Array("ff".utf8) { return false }
    if version == Array("00".utf8) { return parts.count == 4 }
    return traceparent.utf8.count <= 256 && traceparent.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }
  }

  private static func isValid(tracestate: String) -> Bool {
    (1...tracestateBytesMax).contains(tracestate.utf8.count)
      && tracestate.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f }
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

  private static func isLowerHexadecimal(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
  }
}
