import NIOCore
import NIOPosix

/// How a channel opens a connection: TCP, or what a test puts in its place.
struct Connector: Sendable {
  /// One connection to open.
  struct Attempt: Sendable {
    let host: String
    let port: Int
    /// The loop that the connection lives on.
    let eventLoop: any EventLoop
    let timeout: TimeAmount
    /// Adds the handlers; once, on the loop, before the connection is active.
    let configure: @Sendable (any Channel) throws -> Void
  }

  /// Opens the connection; a future that fails says that there will be none.
  ///
  /// On the loop.
  let connect: @Sendable (Attempt) -> EventLoopFuture<Void>

  /// A connection to the host and port, or to a socket in the file system.
  static let tcp = Connector { attempt in
    let endpoint = Endpoint(host: attempt.host, port: attempt.port)
    let bootstrap = ClientBootstrap(group: attempt.eventLoop)
      .connectTimeout(attempt.timeout)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try attempt.configure(channel) }
      }
    let connected =
      if let path = endpoint.unixPath {
        bootstrap.connect(unixDomainSocketPath: path)
      } else {
        bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1)
          .connect(host: attempt.host, port: attempt.port)
      }
    return connected.map { _ in }
  }
}
