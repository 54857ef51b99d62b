package import Logging

/// The options that every service has.
package enum StandardOptions {
  /// The address of the RPC server.
  package static let rpcHost = ServiceOption(
    "rpc.host",
    default: "127.0.0.1",
    help: "Address on which the RPC server listens."
  )
  /// The port of the RPC server; each service has its own default.
  package static let rpcPort = rpcPort(default: 0)
  /// The threads that serve connections.
  package static let rpcThreads = ServiceOption(
    "rpc.threads",
    default: 2,
    in: 1...64,
    unit: "threads",
    help: "Threads that serve RPC and admin connections."
  )
  /// The largest request message.
  package static let rpcMessageLimit = ServiceOption(
    "rpc.message-limit",
    default: ByteCount.mebibytes(4),
    in: .kibibytes(1) ... .gibibytes(1),
    help: "Largest message that the RPC server receives."
  )
  /// The most connections.
  package static let rpcConnections = ServiceOption(
    "rpc.connections",
    default: 4096,
    in: 1...1_000_000,
    unit: "connections",
    help: "Most open connections of the RPC server; further ones are closed."
  )
  /// The most connections of one address.
  package static let rpcConnectionsPerAddress = ServiceOption(
    "rpc.connections-per-address",
    default: Int?.none,
    unit: "connections",
    help: "Most open connections of one client address, or of one IPv6 network of 64 bits.",
    problem: { outside(1...1_000_000, $0) }
  )
  /// The age at which connections end.
  package static let rpcConnectionAge = ServiceOption(
    "rpc.connection-age",
    default: Duration?.none,
    help: "Age at which a connection is drained, so that clients spread over new replicas.",
    problem: { outside(.seconds(1) ... .seconds(31_536_000), $0) }
  )
  /// The most calls at once.
  package static let rpcCalls = ServiceOption(
    "rpc.calls",
    default: Int?.none,
    unit: "calls",
    help: "Most calls at once, health checks left out; more end with RESOURCE_EXHAUSTED.",
    problem: { outside(1...1_000_000, $0) }
  )
  /// Whether clients can ask for the services and their messages.
  package static let rpcReflection = ServiceOption(
    "rpc.reflection",
    default: true,
    help: "Answers grpc.reflection.v1, by which grpcurl and others learn what there is to call."
  )
  /// Whether clients can ask what the process does.
  package static let rpcChannelz = ServiceOption(
    "rpc.channelz",
    default: false,
    help: "Answers grpc.channelz.v1: the connections of the process with their peers and counts."
  )
  /// The address of the admin endpoint.
  package static let adminHost = ServiceOption(
    "admin.host",
    default: "127.0.0.1",
    help: "Address on which the admin endpoint (/livez, /readyz, /metrics) listens."
  )
  /// The port of the admin endpoint; each service has its own default.
  package static let adminPort = adminPort(default: 0)
  /// The form of log lines.
  package static let logFormat = ServiceOption(
    "log.format",
    default: LogFormat.text,
    help: "Form of the log lines on stderr."
  )
  /// The least level that is logged.
  package static let logLevel = ServiceOption(
    "log.level",
    default: Logger.Level.info,
    help: "Least level that is logged."
  )
  /// Whether calls are logged.
  package static let logAccess = ServiceOption(
    "log.access",
    default: true,
    help: "Logs one line per RPC call."
  )
  /// The time in which others take notice of a shutdown.
  package static let shutdownDelay = ServiceOption(
    "shutdown.delay",
    default: Duration.zero,
    in: .zero ... .seconds(600),
    help: "Time at shutdown in which requests are still taken, while health checks say otherwise."
  )
  /// The time for running requests at shutdown.
  package static let shutdownGrace = ServiceOption(
    "shutdown.grace",
    default: Duration.seconds(10),
    in: .zero ... .seconds(3600),
    help: "Time that running requests have to end at shutdown."
  )
  /// Where the real ports are written.
  package static let portsFile = ServiceOption(
    "ports.file",
    default: String?.none,
    help: "File to write the process id and the ports to as JSON; removed at the end."
  )
  /// Whether the service ends with its supervisor.
  package static let supervised = ServiceOption(
    "supervised",
    default: false,
    help: "Shuts down when standard input ends, as it does when a supervisor dies."
  )

  /// What is wrong with a value that may be left out.
  private static func outside<Value: Comparable & OptionValue>(
    _ range: ClosedRange<Value>,
    _ value: Value?
  ) -> String? {
    guard let value, !range.contains(value) else { return nil }
    return "is outside \(range.lowerBound.optionText)...\(range.upperBound.optionText)"
  }

  static func rpcPort(default port: Int) -> ServiceOption<Int> {
    ServiceOption(
      "rpc.port",
      default: port,
      in: 0...65_535,
      help: "Port on which the RPC server listens; 0 takes a free one."
    )
  }

  static func adminPort(default port: Int) -> ServiceOption<Int> {
    ServiceOption(
      "admin.port",
      default: port,
      in: 0...65_535,
      help: "Port on which the admin endpoint listens; 0 takes a free one."
    )
  }

  /// All of them, for a service with these default ports.
  package static func all(rpcPort: Int, adminPort: Int) -> [any DeclaredOption] {
    [
      rpcHost, Self.rpcPort(default: rpcPort), rpcThreads, rpcMessageLimit, rpcConnections,
      rpcConnectionsPerAddress, rpcConnectionAge, rpcCalls,
      rpcReflection, rpcChannelz,
      adminHost, Self.adminPort(default: adminPort), logFormat, logLevel, logAccess,
      shutdownDelay, shutdownGrace, portsFile, supervised,
    ]
  }
}
