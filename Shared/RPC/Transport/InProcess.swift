public import NIOCore
import NIOPosix

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

extension RPCServer {
  /// A channel to this server that needs no port, for tests and for parts of one process.
  ///
  /// Each of its connections is a pair of sockets, whose one end the server serves as it serves what it
  /// accepts: everything but the way to connect is as between machines, TLS included. The server need not be
  /// started, but `shutdown` ends these connections too; from then on calls fail with UNAVAILABLE.
  ///
  /// The channel lives on a loop of `group`, by default of the server's.
  public func inProcessChannel(
    configuration: ChannelConfiguration = .init(),
    group: (any EventLoopGroup)? = nil
  ) -> RPCChannel {
    var configuration = configuration
    configuration.connector = .inProcess(core, self.group)
    return RPCChannel(
      host: "localhost",
      port: 0,
      configuration: configuration,
      group: group ?? self.group
    )
  }
}

extension Connector {
  /// A pair of sockets whose other end becomes a connection of the server.
  static func inProcess(_ core: ServerCore, _ group: any EventLoopGroup) -> Connector {
    Connector { attempt in
      var ends: [CInt] = [-1, -1]
      #if os(Linux)
      let type = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
      #else
      let type = SOCK_STREAM
      #endif
      guard socketpair(AF_UNIX, type, 0, &ends) == 0 else {
        let error = IOError(errnoCode: errno, reason: "socketpair")
        return attempt.eventLoop.makeFailedFuture(error)
      }
      // An end that is not taken over is closed by its bootstrap, which the other end sees.
      _ = ClientBootstrap(group: group)
        .channelInitializer { channel in
          channel.eventLoop.makeCompletedFuture {
            try RPCServer.configure(channel, core: core, remoteAddress: "in-process")
          }
        }
        .withConnectedSocket(ends[0])
      return ClientBootstrap(group: attempt.eventLoop)
        .channelInitializer { channel in
          channel.eventLoop.makeCompletedFuture { try attempt.configure(channel) }
        }
        .withConnectedSocket(ends[1])
        .map { _ in }
    }
  }
}
