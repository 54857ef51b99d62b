import RPC
import ServiceKit

/// The gateway's own options.
enum GatewayOptions {
  static let httpHost = ServiceOption(
    "http.host",
    default: "127.0.0.1",
    help: "Address on which the public API listens."
  )
  static let httpPort = ServiceOption(
    "http.port",
    default: 8080,
    in: 0...65_535,
    help: "Port on which the public API listens; 0 takes a free one."
  )
  static let requestTimeout = ServiceOption(
    "http.request-timeout",
    default: Duration.seconds(600),
    in: .milliseconds(1) ... .seconds(86_400),
    help: "Longest time to answer a request; the services' deadline."
  )
  static let bodyLimit = ServiceOption(
    "http.body-limit",
    default: ByteCount.mebibytes(4),
    in: .kibibytes(1) ... .mebibytes(64),
    help: "Largest request body."
  )
  static let bodyTimeout = ServiceOption(
    "http.body-timeout",
    default: Duration.seconds(60),
    in: .milliseconds(1) ... .seconds(3600),
    help: "Longest time a request body may take to arrive."
  )
  static let connections = ServiceOption(
    "http.connections",
    default: 4096,
    in: 1...1_000_000,
    unit: "connections",
    help: "Most open connections of the public API; further ones wait."
  )
  static let requests = ServiceOption(
    "http.requests",
    default: 256,
    in: 1...100_000,
    unit: "requests",
    help:
      "Most chat, entity and classification requests at once; further ones are answered with status 429."
  )
  static let bodies = ServiceOption(
    "http.bodies",
    default: 1024,
    in: 1...1_000_000,
    unit: "bodies",
    help: "Most request bodies being read at once; further ones are answered with status 429."
  )
  static let bodiesMemory = ServiceOption(
    "http.bodies-memory",
    default: ByteCount.mebibytes(256),
    in: .mebibytes(1) ... .mebibytes(65_536),
    help: "Most memory for request bodies being read; beyond, they are answered with status 429."
  )
  static let tokenizer = ServiceOption(
    "tokenizer.address",
    default: ServiceAddress(host: "127.0.0.1", port: 7101),
    help: "Where the tokenizer service is."
  )
  static let inference = ServiceOption(
    "inference.addresses",
    default: [EndpointSource.endpoint(Endpoint(host: "127.0.0.1", port: 7102))],
    help:
      "Where the inference replicas are; a name stands for all its addresses, a file lists one per line.",
    allowed: "host:port or file:PATH",
    problem: { $0.isEmpty ? "is empty" : nil }
  )
  static let resolveInterval = ServiceOption(
    "inference.resolve-interval",
    default: Duration.seconds(5),
    in: .milliseconds(100) ... .seconds(3600),
    help: "Time after which names of replicas are looked up again."
  )
  static let training = ServiceOption(
    "training.address",
    default: ServiceAddress(host: "127.0.0.1", port: 7103),
    help: "Where the training service is; without it all else goes on."
  )
  static let registry = ServiceOption(
    "registry.address",
    default: ServiceAddress(host: "127.0.0.1", port: 7104),
    help: "Where the data-management service is."
  )

  static let all: [any DeclaredOption] = [
    httpHost, httpPort, requestTimeout, bodyLimit, bodyTimeout, connections, requests, bodies,
    bodiesMemory, tokenizer, inference, resolveInterval, training, registry,
  ]
}

extension GatewaySettings {
  /// The settings that the options ask for.
  init(_ configuration: Configuration) {
    self.init()
    http = ServiceAddress(
      host: configuration[GatewayOptions.httpHost],
      port: configuration[GatewayOptions.httpPort]
    )
    tokenizer = configuration[GatewayOptions.tokenizer]
    inference = ReplicaSetConfiguration(configuration[GatewayOptions.inference])
    inference.resolveInterval = configuration[GatewayOptions.resolveInterval]
    registry = configuration[GatewayOptions.registry]
    training = configuration[GatewayOptions.training]
    limits.timeout = configuration[GatewayOptions.requestTimeout]
    limits.body.bytesMax = configuration[GatewayOptions.bodyLimit].bytes
    limits.body.timeout = configuration[GatewayOptions.bodyTimeout]
    connection.bodyBytesMax = limits.body.bytesMax
    connectionsMax = configuration[GatewayOptions.connections]
    load.workMax = configuration[GatewayOptions.requests]
    load.bodiesMax = configuration[GatewayOptions.bodies]
    load.bodyBytesMax = configuration[GatewayOptions.bodiesMemory].bytes
    logsAccess = configuration[StandardOptions.logAccess]
  }
}
