import Logging
public import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// A server of gRPC calls over HTTP/2.
///
/// `start` once, `shutdown` once.
public final class RPCServer: Sendable {
  private enum Phase {
    /// To `running` by `start`.
    case created
    /// To `ended` by `shutdown`.
    case running(any Channel)
    case ended
  }

  /// The time handlers have to end after they were cancelled.
  private static let cancellationTimeout = TimeAmount.seconds(5)
  /// Connections that the system holds for us to accept.
  private static let backlog: Int32 = 1024

  let core: ServerCore
  let group: any EventLoopGroup
  private let phase = Mutex(Phase.created)

  /// Creates a server whose connections are spread over the group's loops.
  public init(router: Router, configuration: ServerConfiguration, group: any EventLoopGroup) {
    core = ServerCore(router: router, configuration: configuration)
    self.group = group
  }

  /// Binds and listens.
  ///
  /// Returns the bound address, with the real port.
  ///
  /// Throws UNAVAILABLE when the address cannot be bound to.
  public func start() async throws -> SocketAddress {
    let (core, group) = (core, group)
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: Self.backlog)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try Self.configure(channel, core: core) }
      }
    let (host, port) = (core.configuration.host, core.configuration.port)
    let channel: any Channel
    do {
      channel = try await bootstrap.bind(host: host, port: port).get()
    } catch {
      throw RPCError(.unavailable, "cannot listen on \(host):\(port): \(error)", cause: error)
    }
    let isFirst = phase.withLock { phase in
      guard case .created = phase else { return false }
      phase = .running(channel)
      return true
    }
    guard isFirst, let address = channel.localAddress else {
      try? await channel.close()
      throw RPCError(.failedPrecondition, "the server was started or shut down before")
    }
    return address
  }

  /// Makes a socket that was accepted a connection of the server; throws when it takes none.
  static func configure(
    _ channel: any Channel,
    core: ServerCore,
    remoteAddress: String? = nil
  ) throws {
    guard core.admit() else {
      core.logger.warning("connection refused: too many, or the server is shutting down")
      throw RPCError(.resourceExhausted, "too many connections")
    }
    do {
      let connection = try ServerConnection(
        core: core,
        eventLoop: channel.eventLoop,
        remoteAddress: remoteAddress ?? channel.remoteAddress?.addressAndPort ?? "unknown"
      )
      if let tls = core.configuration.tls {
        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls))
      }
      try channel.pipeline.syncOperations.addHandler(connection)
      core.admitted(connection)
    } catch {
      core.admitted(nil)
      throw error
    }
  }

  /// Ends the server: accepts nothing new, announces the end to clients, lets calls finish for
  /// `grace`, then cancels the rest.
  ///
  /// Returns when connections and handlers are gone.
  public func shutdown(grace: Duration) async {
    let last = phase.withLock { phase in
      defer { phase = .ended }
      return phase
    }
    switch last {
    case .created: break  // It may have connections within the process.
    case .running(let listener): try? await listener.close()
    case .ended: return
    }
    let (core, eventLoop) = (core, group.next())
    core.forEachConnection(draining: true) { $0.beginDrain() }
    let cancel = eventLoop.scheduleTask(in: TimeAmount(grace)) {
      core.forEachConnection(draining: true) { $0.cancelAll() }
    }
    let stop = eventLoop.scheduleTask(in: TimeAmount(grace) + Self.cancellationTimeout) {
      core.stopWaiting()
    }
    await core.waitUntilIdle()
    cancel.cancel()
    stop.cancel()
  }
}

extension SocketAddress {
  /// `address:port`, without the family's name that `description` has.
  var addressAndPort: String {
    guard let ipAddress, let port else { return description }
    return "\(ipAddress):\(port)"
  }
}
