package import Logging
package import NIOCore
package import RPC
package import ServiceLifecycle

/// What a service is built from.
package struct ServiceContext: Sendable {
  /// The program's name, such as `llmos-tokenizer`.
  package let name: String
  /// The effective configuration.
  package let configuration: Configuration
  /// The metrics that `/metrics` shows.
  package let metrics: MetricsRegistry
  /// The checks and states that `/livez`, `/readyz` and `grpc.health.v1` show.
  package let health: HealthRegistry
  /// The threads of the RPC server; channels to other services belong on them too.
  package let eventLoopGroup: any EventLoopGroup
  /// The service's logger.
  package let logger: Logger
}

/// What a service consists of once it is built.
///
/// At shutdown, the listeners (the RPC server among them) stop taking requests and end the running
/// ones, side by side; then the background services end, the last one first; then the hooks run in
/// their order.
package struct ServiceParts: Sendable {
  /// The services that the RPC server offers; health and reflection are added to them.
  package var rpc: [any RPCService]
  /// Further listeners, such as a public HTTP server.
  package var listeners: [any Listener]
  /// What runs beside the listeners, and ends after them.
  package var background: [any Service]
  /// What remains to do at the end, such as closing channels and stores.
  package var shutdownHooks: [@Sendable () async -> Void]

  /// Creates the parts of a service.
  package init(
    rpc: [any RPCService],
    listeners: [any Listener] = [],
    background: [any Service] = [],
    shutdownHooks: [@Sendable () async -> Void] = []
  ) {
    self.rpc = rpc
    self.listeners = listeners
    self.background = background
    self.shutdownHooks = shutdownHooks
  }
}
