import Testing

@testable import RPC

/// One rule of RFC 9113 or RFC 7541 for a server: what a client sends after its preface and first
/// SETTINGS, and what must come of it.
struct HTTP2Rule: Sendable, CustomTestStringConvertible {
  enum Outcome: Sendable {
    /// GOAWAY with one of these codes, and the end of the connection.
    case connectionError(Set<UInt8>)
    /// RST_STREAM with one of these codes; the connection goes on.
    case streamError(UInt32, Set<UInt8>)
    /// Either of both.
    case anyError(UInt32, Set<UInt8>)
    /// The call on that stream gets its answer.
    case answer(UInt32)
    /// The connection goes on, and these are among the frames that came.
    case alive([RawFrame])
    /// The connection goes on, and the stream's DATA is this and no more.
    case data(UInt32, [UInt8])
  }

  let section: String
  let rule: String
  let sends: [UInt8]
  let outcome: Outcome

  init(_ section: String, _ rule: String, _ frames: [RawFrame], _ outcome: Outcome) {
    self.section = section
    self.rule = rule
    sends = frames.bytes
    self.outcome = outcome
  }

  var testDescription: String { "\(section) \(rule)" }

  /// The codes of RFC 9113, 7.
  enum Code {
    static let protocolError: UInt8 = 1
    static let flowControl: UInt8 = 3
    static let streamClosed: UInt8 = 5
    static let frameSize: UInt8 = 6
    static let refused: UInt8 = 7
    static let compression: UInt8 = 9
  }

  static let all: [HTTP2Rule] = [
    framing, invalidBlocks, headerBlocks, idleStreams, streams, frames, flowControl, messages,
  ].flatMap { $0 }

  // MARK: Frames to send

  static let hello = wireMessage("hello")

  /// A whole call.
  static func call(_ stream: UInt32 = 1, _ more: [(String, String)] = []) -> [RawFrame] {
    [.call(stream, more), .data(stream, hello, end: true)]
  }

  /// The head of a call without its end.
  static func open(_ stream: UInt32 = 1) -> RawFrame { .call(stream) }

  static func frame(
    _ type: UInt8,
    _ flags: UInt8 = 0,
    _ stream: UInt32 = 0,
    _ payload: [UInt8] = []
  ) -> RawFrame {
    RawFrame(type: type, flags: flags, stream: stream, payload: payload)
  }

  /// HEADERS of a header list as it stands.
  static func headers(
    _ fields: [(String, String)],
    stream: UInt32 = 1,
    end: Bool = true
  ) -> RawFrame {
    frame(1, end ? 5 : 4, stream, RawFrame.block(fields))
  }

  static let head = [
    (":method", "POST"), (":scheme", "http"), (":path", "/test.Echo/Unary"), (":authority", "a"),
    ("te", "trailers"), ("content-type", "application/grpc"),
  ]

  static func windowUpdate(_ stream: UInt32, _ increment: UInt32) -> RawFrame {
    frame(8, 0, stream, increment.octets)
  }

  static func setting(_ id: UInt8, _ value: UInt32) -> RawFrame {
    frame(4, 0, 0, [0, id] + value.octets)
  }

  static func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
}

extension UInt32 {
  /// The number in network order.
  var octets: [UInt8] { withUnsafeBytes(of: bigEndian) { Array($0) } }
}
