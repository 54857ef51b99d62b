public import Logging
import NIOCore
public import NIOSSL

/// How a server listens and what it lets clients do.
///
/// Sizes in bytes.
public struct ServerConfiguration: Sendable {
  /// The address to bind to.
  public var host: String
  /// The port to bind to; 0 takes a free one.
  public var port: Int
  /// A socket of the Unix domain to bind to, instead of host and port.
  ///
  /// A file that is there is replaced if it is a socket. Who may connect is up to the process's umask and the folder.
  public var unixSocketPath: String?
  /// Sockets that accept connections, each with an event loop of its own (`SO_REUSEPORT`), at most
  /// one per loop of the group; 1: one socket, whose connections are spread over the loops.
  public var listeners = 1
  /// TLS, which must offer `h2` by ALPN; nil for plain text with prior knowledge.
  public var tls: NIOSSLContext?
  /// TLS from files that may change; goes before `tls`.
  public var tlsReloader: TLSReloader?
  /// The largest message received.
  public var maxMessageBytes = 4 * 1024 * 1024
  /// The largest header list received or sent, as RFC 9113, 6.5.2 counts it.
  public var maxMetadataBytes = 64 * 1024
  /// Connections open at once; more are closed as they come.
  public var maxConnections = 4096
  /// The same for each client address, of IPv6 for each network of 64 bits; nil for any number.
  public var maxConnectionsPerAddress: Int?
  /// Bounds of calls on all connections.
  public var callLimits = CallLimits()
  /// Calls of one connection at once, and handlers of it that still run; more are refused.
  public var maxConcurrentStreams = 1024
  /// What a client may send on one stream before the handler reads it.
  public var streamWindowBytes = 1024 * 1024
  /// What one connection's requests may take that are half-sent or wait for their handlers; the
  /// call that goes above it ends with RESOURCE_EXHAUSTED.
  public var maxBufferedBytes = 64 * 1024 * 1024
  /// What one connection's responses may take that the client has not read, but for one message;
  /// while there is so much, calls that begin or answer end with RESOURCE_EXHAUSTED.
  public var maxUnreadBytes = 64 * 1024 * 1024
  /// `maxBufferedBytes` for all connections together: above it, those connections that hold more
  /// than their equal share get RESOURCE_EXHAUSTED.
  public var maxTotalBufferedBytes = 1024 * 1024 * 1024
  /// `maxUnreadBytes` for all connections together, in the same way.
  public var maxTotalUnreadBytes = 1024 * 1024 * 1024
  /// What may wait on one stream before its writer suspends.
  public var writeBufferBytes = 64 * 1024
  /// The time a client has for TLS and its first SETTINGS.
  public var handshakeTimeout: Duration = .seconds(10)
  /// The time without any byte from a client after which it is asked for a sign of life.
  public var keepaliveInterval: Duration = .seconds(300)
  /// The time it has to give that sign.
  public var keepaliveTimeout: Duration = .seconds(20)
  /// The least time between two PINGs of a client while the server sends nothing (gRFC A8); more
  /// than two that come earlier end the connection with `too_many_pings`.
  public var minPingInterval: Duration = .seconds(300)
  /// Whether a client without calls may send PINGs at that interval; else one in two hours.
  public var permitsPingsWithoutCalls = false
  /// The age at which a connection is drained (gRFC A9), give or take a tenth; nil for none.
  public var maxConnectionAge: Duration?
  /// The time that calls then have before they are cancelled; nil for any.
  public var maxConnectionAgeGrace: Duration?
  /// The time without a call after which a connection is drained (gRFC A9); nil for none.
  public var maxConnectionIdle: Duration?
  /// The time in which a header block has to be complete.
  public var headersTimeout: Duration = .seconds(10)
  /// The time in which the single request of a unary or server-streaming call has to be complete,
  /// and the body of a request that is not gRPC's.
  public var requestTimeout: Duration = .seconds(120)
  /// The longest time in which a client's socket takes nothing of what waits for it: not one byte.
  public var writeStallTimeout: Duration = .seconds(60)
  /// The longest time in which a client takes nothing of the responses that wait on a stream.
  ///
  /// The stream then ends, and its call with RESOURCE_EXHAUSTED; a client may take them as slowly as
  /// it likes.
  public var responseStallTimeout: Duration = .seconds(300)
  /// Answers requests that are not gRPC's; nil: with 405 or 415.
  public var httpHandler: PlainHTTPHandler?
  /// The largest body of such a request.
  public var httpBodyBytesMax = 64 * 1024
  /// Resets of streams less than a second old and without a response that a client may send at once.
  public var earlyResetBurst = 1_000
  /// And the same per second in the long run.
  public var earlyResetsPerSecond = 100
  /// What ages of connections are varied with.
  var random = RandomSource.system
  /// Called on the event loop after each call; must not block.
  public var onCallEnd: (@Sendable (ServerCallRecord) -> Void)?
  /// Called on the event loop for each call that reaches no handler, such as one of an unknown
  /// method; must not block.
  public var onCallRejected: (@Sendable (RejectedCallRecord) -> Void)?
  /// Where failures of handlers and misbehaving peers are logged.
  public var logger = Logger(label: "llmos.rpc.server")

  /// Counts what is alive; nil outside tests.
  var census: Census?

  /// Creates a configuration for an address; port 0 takes a free port.
  public init(host: String = "127.0.0.1", port: Int = 0, tls: NIOSSLContext? = nil) {
    self.host = host
    self.port = port
    self.tls = tls
  }

  /// The bound of a connection's requests: at least one of the largest fits.
  var requestBytesMax: Int { max(maxBufferedBytes, maxMessageBytes + MessageFraming.prefixBytes) }

  /// Smaller ones would cost more in WINDOW_UPDATE frames than in data.
  private static let windowBytesMin = 1_000

  var sessionLimits: HTTP2SessionLimits {
    var limits = HTTP2SessionLimits()
    // What SETTINGS can say (RFC 9113, 6.5.2).
    limits.maxConcurrentStreams = min(max(0, maxConcurrentStreams), Int(Int32.max))
    limits.maxHeaderListBytes = min(max(1, maxMetadataBytes), Int(Int32.max))
    limits.streamWindowBytes = min(max(Self.windowBytesMin, streamWindowBytes), Int(Int32.max))
    limits.connectionWindowBytes = max(limits.connectionWindowBytes, limits.streamWindowBytes)
    limits.writeHighBytes = max(1, writeBufferBytes)
    limits.writeLowBytes = limits.writeHighBytes / 4
    limits.earlyResets = (Double(earlyResetBurst), Double(earlyResetsPerSecond))
    limits.pings = PingStrikes.Limits(
      interval: UInt64(max(0, minPingInterval.clampedNanoseconds)),
      withoutCalls: permitsPingsWithoutCalls
    )
    return limits
  }

  var guardLimits: ConnectionGuards.Limits {
    ConnectionGuards.Limits(
      headers: TimeAmount(headersTimeout),
      socket: TimeAmount(writeStallTimeout),
      responses: TimeAmount(responseStallTimeout),
      request: TimeAmount(requestTimeout)
    )
  }

  var lifetimeLimits: ConnectionLifetime.Limits {
    ConnectionLifetime.Limits(
      age: maxConnectionAge.map { TimeAmount($0) },
      ageGrace: maxConnectionAgeGrace.map { TimeAmount($0) },
      idle: maxConnectionIdle.map { TimeAmount($0) }
    )
  }
}

/// What became of one call; for metrics.
public struct ServerCallRecord: Sendable {
  /// The method.
  public let method: MethodDescriptor
  /// The status it ended with.
  public let status: StatusCode
  /// The time from its head to its status.
  public let duration: Duration
  /// What it failed by; nil for OK.
  public let error: RPCError?
  /// Whether its handler was called: not so when the request was not complete.
  public let reachedHandler: Bool
  /// The client's address and port.
  public let remoteAddress: String
}

/// A call that was answered with a status before it reached a handler; for metrics and logs.
public struct RejectedCallRecord: Sendable {
  /// The longest path kept.
  static let pathBytesMax = 200

  /// The path that was asked for: whatever the client sent, its first 200 bytes.
  public let path: String
  /// The method of that path; nil when there is none.
  public let method: MethodDescriptor?
  /// The status.
  public let error: RPCError
  /// The client's address and port.
  public let remoteAddress: String
}
