import CNghttp2

/// An HTTP/2 error code (RFC 9113, 7).
struct HTTP2ErrorCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  let rawValue: UInt32

  static let noError = HTTP2ErrorCode(rawValue: 0)
  static let protocolError = HTTP2ErrorCode(rawValue: 1)
  static let internalError = HTTP2ErrorCode(rawValue: 2)
  static let flowControlError = HTTP2ErrorCode(rawValue: 3)
  static let settingsTimeout = HTTP2ErrorCode(rawValue: 4)
  static let refusedStream = HTTP2ErrorCode(rawValue: 7)
  static let cancel = HTTP2ErrorCode(rawValue: 8)
  static let compressionError = HTTP2ErrorCode(rawValue: 9)
  static let enhanceYourCalm = HTTP2ErrorCode(rawValue: 11)
  static let inadequateSecurity = HTTP2ErrorCode(rawValue: 12)

  var description: String { String(cString: nghttp2_http2_strerror(rawValue)) }
}

/// Why a session cannot go on; its connection is to be closed.
struct HTTP2SessionError: Error, CustomStringConvertible {
  let operation: String
  /// nghttp2's error number.
  let number: Int32

  var description: String { "\(operation): \(String(cString: nghttp2_strerror(number)))" }

  /// What the peer sent too much of, if that is the error.
  var flood: String? {
    switch number {
    case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS.rawValue: "too many CONTINUATION frames"
    case NGHTTP2_ERR_FLOODED.rawValue: "too many frames that it does not read"
    default: nil
    }
  }
}

/// What a session tells its owner, in the order in which it happened.
enum HTTP2Event {
  /// A request's or a response's head. `oversized` when the list was above the limit: the fields
  /// beyond it are left out.
  case head(stream: Int32, fields: [HeaderField], endStream: Bool, oversized: Bool)
  /// DATA. The stream's window shrinks until the bytes are consumed.
  ///
  /// The bytes share one buffer with those of other streams: who keeps them copies them.
  case data(stream: Int32, bytes: ArraySlice<UInt8>)
  /// Trailers, which end the peer's half of the stream.
  case trailers(stream: Int32, fields: [HeaderField], oversized: Bool)
  /// The end of the peer's half by an empty or last DATA frame.
  case end(stream: Int32)
  /// The stream is gone, by both ends or by a reset with that code. Nothing follows for it.
  case closed(stream: Int32, code: HTTP2ErrorCode)
  /// A stream of ours is gone before its request began to be sent. Nothing follows for it.
  case unsent(stream: Int32)
  /// The bytes that wait to be sent fell below the low mark after having been above the high one.
  case writable(stream: Int32)
  /// The peer's SETTINGS.
  case settings
  /// The answer to a PING of ours.
  case pong
  /// The peer starts no new stream above that id.
  case goAway(lastStream: Int32, code: HTTP2ErrorCode, debug: String)
}

/// The bounds of one session.
///
/// Times in seconds, sizes in bytes.
struct HTTP2SessionLimits: Sendable {
  /// Streams that the peer may have open at once.
  var maxConcurrentStreams = 1024
  /// A header list as RFC 9113, 6.5.2 counts it, received or sent.
  var maxHeaderListBytes = 64 * 1024
  /// What the peer may send on one stream before it is consumed.
  var streamWindowBytes = 1024 * 1024
  /// What the peer may have in flight on the connection; consumed at arrival.
  var connectionWindowBytes = 8 * 1024 * 1024
  /// Bytes waiting on one stream from which on it is not writable.
  var writeHighBytes = 64 * 1024
  /// Bytes waiting on one stream below which it is writable again.
  var writeLowBytes = 16 * 1024
  /// Frames that carry no work (PING, SETTINGS, PRIORITY, empty DATA): burst and rate per second.
  var idleFrames = (burst: 2_000.0, perSecond: 200.0)
  /// Streams that the peer resets before a response began, that it makes us reset by errors, and
  /// that it opens above the limit: burst and rate per second.
  var earlyResets = (burst: 1_000.0, perSecond: 100.0)
  /// WINDOW_UPDATE frames that may come ahead of the DATA and streams that allow them.
  var windowUpdateBurst = 1_000
  /// CONTINUATION frames of one header block (CVE-2024-27316); nghttp2 counts them.
  var continuationsMax = 8
  /// How many times `maxHeaderListBytes` a header block may decompress to (an HPACK bomb): up to it,
  /// a list that is too large costs its call; above it, the connection.
  var headerBombFactor = 16
  /// When PINGs come too often (gRFC A8); nil when only `idleFrames` bounds them.
  var pings: PingStrikes.Limits?
  /// Frames that may wait to be sent because the peer does not read.
  var queuedFrames = 10_000
  /// Resets of any stream, nghttp2's own limit: burst and rate per second.
  var resets: (burst: UInt64, perSecond: UInt64) = (20_000, 2_000)
}

/// A token bucket: `burst` at once, then `perSecond`.
struct TokenBucket {
  private let burst: Double
  private let perSecond: Double
  private var tokens: Double
  private var last: UInt64 = 0

  init(_ limits: (burst: Double, perSecond: Double)) {
    burst = limits.burst
    perSecond = limits.perSecond
    tokens = limits.burst
  }

  /// Takes one token; false when there is none.
  ///
  /// `now` in nanoseconds of any monotonic clock.
  mutating func take(at now: UInt64) -> Bool {
    if now > last {
      if last > 0 { tokens = min(burst, tokens + Double(now - last) * 1e-9 * perSecond) }
      last = now
    }
    guard tokens >= 1 else { return false }
    tokens -= 1
    return true
  }

  /// The nanoseconds from the last `take` until there is a token.
  var delay: UInt64 { tokens >= 1 ? 0 : UInt64((1 - tokens) / perSecond * 1e9) }

  /// Whether nothing is missing `now`.
  func isFull(at now: UInt64) -> Bool {
    guard now > last else { return tokens >= burst }
    return tokens + Double(now - last) * 1e-9 * perSecond >= burst
  }
}
