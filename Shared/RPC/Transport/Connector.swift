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

  /// A connection to the host and port.
  static let tcp = Connector { attempt in
    ClientBootstrap(group: attempt.eventLoop)
      .connectTimeout(attempt.timeout)
      .channelOption(.tcpOption(.tcp_nodelay), value: 1)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try attempt.configure(channel) }
      }
      .connect(host: attempt.host, port: attempt.port)
      .map { _ in }
  }
}
