import Logging
import NIOCore
import NIOPosix

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The sockets that a server accepts connections on.
struct Listeners: Sendable {
  /// Connections that the system holds for us to accept, of each socket.
  private static let backlog: Int32 = 1024

  let channels: [any Channel]
  /// The file of a socket of the Unix domain, which goes with it.
  private let path: String?

  /// A connection that is idle keeps its buffer, and most are; one that is not soon has a larger one.
  private static let receiveBuffer = AdaptiveRecvByteBufferAllocator(
    minimum: 512,
    initial: 512,
    maximum: 65_536
  )

  /// The address of all of them.
  var address: SocketAddress? { channels.first?.localAddress }

  /// Stops to accept.
  func close() async {
    for channel in channels { try? await channel.close() }
    if let path { unlink(path) }
  }

  /// Binds and listens.
  ///
  /// With more than one listener, each has an event loop of its own, which serves what it accepts:
  /// the system spreads connections over the sockets (`SO_REUSEPORT`). Where it cannot, one
  /// listener serves all loops, and the log says so. Throws UNAVAILABLE when the address cannot be
  /// bound to.
  static func open(
    _ configuration: ServerConfiguration,
    group: any EventLoopGroup,
    _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
  ) async throws(RPCError) -> Listeners {
    if let path = configuration.unixSocketPath {
      return try await bind("unix:\(path)", path: path) {
        try await bootstrap(group, isTCP: false, initialize)
          .bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
      }
    }
    let (host, port) = (configuration.host, configuration.port)
    let count = configuration.listeners
    let loops = count > 1 ? Array(group.makeIterator().prefix(count)) : []
    if loops.count > 1 {
      // Another server of the same user could share the port by chance, and take its connections.
      if port != 0 { try await single(host, port, group, initialize).close() }
      do {
        return try await shared(host, port, loops, initialize)
      } catch {
        configuration.logger.warning(
          "one listener instead of one per loop",
          metadata: ["loops": "\(loops.count)", "reason": "\(error)"]
        )
      }
    }
    return try await single(host, port, group, initialize)
  }

  private static func single(
    _ host: String,
    _ port: Int,
    _ group: any EventLoopGroup,
    _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
  ) async throws(RPCError) -> Listeners {
    try await bind("\(host):\(port)", path: nil) {
      try await bootstrap(group, isTCP: true, initialize).bind(host: host, port: port).get()
    }
  }

  /// One socket for each loop, all on one port; none when one fails.
  private static func shared(
    _ host: String,
    _ port: Int,
    _ loops: [any EventLoop],
    _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
  ) async throws -> Listeners {
    var channels: [any Channel] = []
    do {
      for loop in loops {
        let channel = try await bootstrap(loop, isTCP: true, initialize)
          .serverChannelOption(.socketOption(.init(rawValue: SO_REUSEPORT)), value: 1)
          .bind(host: host, port: channels.first?.localAddress?.port ?? port).get()
        channels.append(channel)
      }
    } catch {
      for channel in channels { try? await channel.close() }
      throw error
    }
    return Listeners(channels: channels, path: nil)
  }

  private static func bind(
    _ address: String,
    path: String?,
    _ body: () async throws -> any Channel
  ) async throws(RPCError) -> Listeners {
    do {
      return Listeners(channels: [try await body()], path: path)
    } catch {
      throw RPCError(.unavailable, "cannot listen on \(address): \(error)", cause: error)
    }
  }

  private static func bootstrap(
    _ group: any EventLoopGroup,
    isTCP: Bool,
    _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
  ) -> ServerBootstrap {
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: backlog)
      .childChannelOption(.recvAllocator, value: receiveBuffer)
      .childChannelInitializer(initialize)
    guard isTCP else { return bootstrap }
    return
      bootstrap
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
  }
}
