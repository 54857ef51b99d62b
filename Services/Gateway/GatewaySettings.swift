import NIOCore
import RPC
import ServiceKit

/// Everything about a gateway that its start decides.
struct GatewaySettings: Sendable {
  /// Where the public API listens; port 0 takes any free port.
  var http = ServiceAddress(host: "127.0.0.1", port: 8080)
  var tokenizer = ServiceAddress(host: "127.0.0.1", port: 7101)
  var inference = ReplicaSetConfiguration([.endpoint(Endpoint(host: "127.0.0.1", port: 7102))])
  var registry = ServiceAddress(host: "127.0.0.1", port: 7104)
  var training = ServiceAddress(host: "127.0.0.1", port: 7103)
  /// How long a call waits for a connection: a service that is started again is waited for.
  var readyTimeout: Duration = .seconds(5)
  /// The longest time a service may take to say that it serves; longer counts as not serving.
  var probeTimeout: Duration = .seconds(5)
  /// How long the registry's list of models counts.
  var catalogAges = ModelCatalog.Ages()
  var limits = RequestLimits()
  var connection = ConnectionHandler.Limits()
  /// Most open connections; further ones wait in the system's queue.
  var connectionsMax = 4096
  /// How much is taken on at once.
  var load = RequestLoad.Limits()
  /// Told of each change of what is taken on, on any thread; must not block.
  var onLoadChange: @Sendable () -> Void = {}
  /// Told of each change of how many replicas are ready, on any thread; must not block.
  var onReplicaChange: @Sendable () -> Void = {}
  /// Largest header field, and all of them together, in bytes.
  var headerFieldBytesMax = 16 << 10
  var headerBytesMax = 64 << 10
  /// Most header fields.
  var headerFieldsMax = 100
  /// Whether each request is logged.
  var logsAccess = true
  /// Longest time between two requests of a connection, and between two parts of a request.
  var idleTimeout: TimeAmount = .seconds(75)
}
