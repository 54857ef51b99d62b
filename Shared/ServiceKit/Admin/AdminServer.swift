package import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// The admin endpoint: HTTP/1.1 with `/livez`, `/readyz` and `/metrics`, for probes and scrapers.
///
/// It trusts nobody: connections, request sizes and the time each step may take are bounded.
package final class AdminServer: Sendable {
  /// The bounds of the endpoint.
  package struct Limits: Sendable {
    /// Most open connections; further ones are closed at once.
    package var connectionsMax = 64
    /// Most bytes of one request, head and body together.
    package var requestBytesMax = 16 << 10
    /// Longest time from a connection's opening, or a request's first byte, to the request's end.
    package var requestTimeout = Duration.seconds(10)
    /// Longest time to take a response.
    package var responseTimeout = Duration.seconds(10)
    /// Longest time between requests on a kept connection.
    package var idleTimeout = Duration.seconds(75)

    /// Creates the default limits.
    package init() {}
  }

  /// The connections of the endpoint, to bound and to close them.
  final class Connections: Sendable {
    private let open = Mutex<[ObjectIdentifier: any Channel]>([:])

    /// Admits a connection, unless there are `max` already.
    func add(_ channel: any Channel, max: Int) -> Bool {
      open.withLock {
        guard $0.count < max else { return false }
        $0[ObjectIdentifier(channel)] = channel
        return true
      }
    }

    func remove(_ channel: any Channel) {
      open.withLock { _ = $0.removeValue(forKey: ObjectIdentifier(channel)) }
    }

    var all: [any Channel] { open.withLock { Array($0.values) } }
  }

  private let responder: AdminResponder
  private let limits: Limits
  private let group: any EventLoopGroup
  private let connections = Connections()
  private let listener = Mutex<(any Channel)?>(nil)

  /// Creates the endpoint; `start` opens it.
  package init(
    metrics: MetricsRegistry,
    health: HealthRegistry,
    limits: Limits = Limits(),
    group: any EventLoopGroup
  ) {
    responder = AdminResponder(metrics: metrics, health: health)
    self.limits = limits
    self.group = group
  }

  /// Listens on an address; port 0 takes any free port.
  ///
  /// - Returns: The port it listens on.
  /// - Throws: The error of the system call.
  package func start(host: String, port: Int) async throws -> Int {
    let (responder, limits, connections) = (responder, limits, connections)
    let channel = try await ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 64)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.maxMessagesPerRead, value: 1)
      .childChannelInitializer { channel in
        guard connections.add(channel, max: limits.connectionsMax) else {
          return channel.close()
        }
        channel.closeFuture.whenComplete { _ in connections.remove(channel) }
        return channel.eventLoop.makeCompletedFuture {
          try Self.configure(channel.pipeline.syncOperations, responder, limits)
        }
      }
      .bind(host: host, port: port).get()
    listener.withLock { $0 = channel }
    return channel.localAddress?.port ?? port
  }

  /// Closes the listener and all connections.
  package func stop() async {
    let channel = listener.withLock { channel in
      defer { channel = nil }
      return channel
    }
    try? await channel?.close()
    for connection in connections.all { try? await connection.close() }
  }

  private static func configure(
    _ pipeline: ChannelPipeline.SynchronousOperations,
    _ responder: AdminResponder,
    _ limits: Limits
  ) throws {
    let gate = AdminGate(limits: limits)
    try pipeline.addHandler(gate)
    var decoder = NIOHTTPDecoderLimitConfiguration()
    decoder.maxHeaderFieldSize = limits.requestBytesMax
    decoder.maxHeaderListSize = limits.requestBytesMax
    decoder.maxHeaderFieldCount = 100
    try pipeline.addHandlers([
      HTTPResponseEncoder(),
      ByteToMessageHandler(
        HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes, limitConfiguration: decoder)
      ),
      HTTPServerPipelineHandler(),
      HTTPServerProtocolErrorHandler(),
      AdminHandler(responder: responder, gate: gate),
    ])
  }
}
