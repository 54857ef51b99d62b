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

  /// The wait of a listener whose process has no descriptors left.
  private static let acceptPause = TimeAmount.milliseconds(100)

  let channels: [any Channel]
  /// The file of a socket of the Unix domain, which goes with it.
  private let file: SocketFile?

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
    file?.remove()
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
      do {
        let (file, descriptor) = try SocketFile.bind(path)
        do {
          let channel = try await bootstrap(group, configuration, isTCP: false, initialize)
            .withBoundSocket(descriptor).get()
          // NIO listens with a backlog of its own on a socket that it did not bind.
          _ = listen(descriptor, backlog)
          return Listeners(channels: [channel], file: file)
        } catch {
          file.remove()
          throw error
        }
      } catch {
        throw RPCError(.unavailable, "cannot listen on unix:\(path): \(error)", cause: error)
      }
    }
    let port = configuration.port
    let count = configuration.listeners
    let loops = count > 1 ? Array(group.makeIterator().prefix(count)) : []
    if loops.count > 1 {
      // Another server of the same user could share the port by chance, and take its connections.
      if port != 0 { try await single(configuration, group, initialize).close() }
      do {
        return try await shared(configuration, loops, initialize)
      } catch {
        configuration.logger.warning(
          "one listener instead of one per loop",
          metadata: ["loops": "\(loops.count)", "reason": "\(error)"]
        )
      }
    }
    return try await single(configuration, group, initialize)
  }

  private static func single(
    _ configuration: ServerConfiguration,
    _ group: any EventLoopGroup,
    _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
  ) async throws(RPCError) -> Listeners {
    let (host, port) = (configuration.host, configuration.port)
    do {
      let channel = try await bootstrap(group, configuration, isTCP: true, initialize)
        .bind(host: host, port: port).get()
      return Listeners(channels: [channel], file: nil)
    } catch {
      throw RPCError(.unavailable, "cannot listen on \(host):\(port): \(error)", cause: error)
    }
  }

  /// One socket for each loop, all on one port; none when one fails.
  private static func shared(
    _ configuration: ServerConfiguration,
    _ loops: [any EventLoop],
    _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
  ) async throws -> Listeners {
    let (host, port) = (configuration.host, configuration.port)
    var channels: [any Channel] = []
    do {
      for loop in loops {
        let channel = try await bootstrap(loop, configuration, isTCP: true, initialize)
          .serverChannelOption(.socketOption(.init(rawValue: SO_REUSEPORT)), value: 1)
          .bind(host: host, port: channels.first?.localAddress?.port ?? port).get()
        channels.append(channel)
      }
    } catch {
      for channel in channels { try? await channel.close() }
      throw error
    }
    return Listeners(channels: channels, file: nil)
  }

  private static func bootstrap(
    _ group: any EventLoopGroup,
    _ configuration: ServerConfiguration,
    isTCP: Bool,
    _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
  ) -> ServerBootstrap {
    let logger = configuration.logger
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: backlog)
      .serverChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          // A client that is gone before it was accepted is no reason to wait; no descriptors are.
          let backoff = AcceptBackoffHandler { error in
            error.errnoCode == ECONNABORTED ? nil : acceptPause
          }
          try channel.pipeline.syncOperations.addHandlers([backoff, AcceptFailureLog(logger)])
        }
      }
      .childChannelOption(.recvAllocator, value: receiveBuffer)
      .childChannelInitializer(initialize)
    guard isTCP else { return bootstrap }
    return
      bootstrap
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
  }
}

/// Says why connections cannot be accepted, once in a while.
private final class AcceptFailureLog: ChannelInboundHandler {
  typealias InboundIn = any Channel

  private let logger: Logger
  private let gate = LogGate()

  init(_ logger: Logger) {
    self.logger = logger
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard let suppressed = gate.pass(at: context.eventLoop.now.uptimeNanoseconds) else { return }
    logger.error(
      "connections cannot be accepted",
      metadata: ["reason": "\(error)", "left_out": "\(suppressed)"]
    )
  }
}
