public import Logging
import NIOCore
public import NIOSSL

/// How a client connects and what it lets the server do.
///
/// Sizes in bytes; one that HTTP/2 does not know counts as the nearest that it does.
public struct ChannelConfiguration: Sendable {
  /// TLS, which must offer `h2` by ALPN; nil for plain text with prior knowledge.
  public var tls: NIOSSLContext?
  /// TLS from files that may change, the client's own certificate among them; goes before `tls`.
  public var tlsReloader: TLSReloader?
  /// The name to check servers' certificates against; when nil, the name that was looked up, or the
  /// host of each endpoint that the target lists.
  public var tlsServerName: String?
  /// The largest message received.
  public var maxMessageBytes = 4 * 1024 * 1024
  /// The largest header list received or sent, as RFC 9113, 6.5.2 counts it.
  public var maxMetadataBytes = 64 * 1024
  /// What the server may send on one stream before it is read.
  public var streamWindowBytes = 1024 * 1024
  /// What may wait on one stream before its writer suspends.
  public var writeBufferBytes = 64 * 1024
  /// Calls that may wait for a connection or for one of its streams.
  public var maxQueuedCalls = 10_000
  /// Messages of a call that are kept to send it again; a call that has sent more is sent once.
  ///
  /// A single message is kept whatever its size.
  public var retryBufferBytes = 64 * 1024
  /// Connections to one endpoint: more than one are made while calls wait for a stream because the
  /// server's MAX_CONCURRENT_STREAMS is reached (gRFC A105).
  public var maxConnectionsPerEndpoint = 1
  /// The time to connect, agree on TLS and receive the server's SETTINGS.
  public var connectTimeout: Duration = .seconds(10)
  /// The wait before the second attempt to connect; it grows by 1.6 with each failure.
  public var backoffInitial: Duration = .milliseconds(100)
  /// The longest wait between two attempts; every wait varies by a fifth at random.
  public var backoffMax: Duration = .seconds(5)
  /// The time without any byte, while calls run, after which the server is asked for a life sign;
  /// zero or less: never.
  public var keepaliveInterval: Duration = .seconds(300)
  /// Whether it is asked while no call runs, too; many servers count that as abuse.
  public var keepaliveWithoutCalls = false
  /// The time it has to give that sign.
  public var keepaliveTimeout: Duration = .seconds(20)
  /// Calls that may be outstanding at once, those that wait included; more fail with UNAVAILABLE.
  ///
  /// nil: any number.
  public var maxOutstandingCalls: Int?
  /// The same for each endpoint, counting the attempts that were given to it.
  public var maxOutstandingCallsPerEndpoint: Int?
  /// The `:authority` of the calls; the target's when nil.
  public var authority: String?
  /// How names of `dns:` targets are looked up.
  public var lookup = EndpointLookup.system
  /// The time between two looks at a name; nil: only when connections fail.
  public var resolutionInterval: Duration? = .seconds(30)
  /// The least time between two looks.
  public var resolutionGap: Duration = .seconds(1)
  /// What is done for all calls, or for those of some methods: timeouts, retries,
  /// hedging, balancing.
  public var serviceConfig = ServiceConfig()
  /// What sees every call: the first is the outermost.
  public var interceptors: [any ClientInterceptor] = []
  /// How connections are opened.
  var connector = Connector.tcp
  /// Counts what is alive; nil outside tests.
  var census: Census?
  /// What waits are varied with.
  var random = RandomSource.system
  /// Where changes of the connection are logged.
  public var logger = Logger(label: "llmos.rpc.client")

  /// Creates the default configuration.
  public init(tls: NIOSSLContext? = nil) {
    self.tls = tls
  }

  /// TLS for the next connection.
  var tlsContext: NIOSSLContext? { tlsReloader?.context ?? tls }

  /// The nearest size that a window or a list of HTTP/2 may have.
  private static func clamp(_ bytes: Int) -> Int { min(max(bytes, 1), Int(Int32.max)) }

  var sessionLimits: HTTP2SessionLimits {
    var limits = HTTP2SessionLimits()
    limits.maxHeaderListBytes = Self.clamp(maxMetadataBytes)
    limits.streamWindowBytes = Self.clamp(streamWindowBytes)
    limits.connectionWindowBytes = max(limits.connectionWindowBytes, limits.streamWindowBytes)
    limits.writeHighBytes = Self.clamp(writeBufferBytes)
    limits.writeLowBytes = limits.writeHighBytes / 4
    return limits
  }
}

/// What a call asks for beside its request.
public struct CallOptions: Sendable {
  /// The time the call may take.
  ///
  /// The deadline of the task, if it is earlier, counts instead.
  public var timeout: Duration?
  /// Metadata for the server.
  public var metadata = Metadata()
  /// How long to wait for a connection and a stream of it, for each attempt of a retry policy anew;
  /// without it, a call fails at once while there is none and the last attempt to connect has failed.
  public var readyTimeout: Duration?
  /// How requests are compressed: those that become shorter by it, while the server has not said
  /// that it does not take the encoding.
  public var compression = MessageEncoding.identity
  /// Whether to wait for a connection, as long as the call may take, rather than fail without one.
  ///
  /// nil: what the service config says, which by default is no. `readyTimeout` implies it.
  public var waitForReady: Bool?

  /// Creates options that ask for nothing.
  public init() {}

  /// Creates options.
  public init(
    timeout: Duration? = nil,
    metadata: Metadata = Metadata(),
    readyTimeout: Duration? = nil,
    compression: MessageEncoding = .identity,
    waitForReady: Bool? = nil
  ) {
    self.timeout = timeout
    self.metadata = metadata
    self.readyTimeout = readyTimeout
    self.compression = compression
    self.waitForReady = waitForReady
  }
}

/// The waits between attempts to connect (gRPC's connection-backoff.md).
struct Backoff {
  private static let growth = 1.6
  private static let jitter = 0.2

  private let initial: Double
  private let max: Double
  private var next: Double

  init(initial: Duration, max: Duration) {
    self.initial = Double(Swift.max(0, initial.clampedNanoseconds))
    self.max = Double(Swift.max(0, max.clampedNanoseconds))
    next = self.initial
  }

  mutating func reset() {
    next = initial
  }

  /// The wait before the next attempt.
  mutating func delay(_ random: RandomSource = .system) -> TimeAmount {
    let base = Swift.min(next, max)
    next = Swift.min(next * Self.growth, max)
    return .nanoseconds(Int64(base * random.number(in: (1 - Self.jitter)...(1 + Self.jitter))))
  }
}
