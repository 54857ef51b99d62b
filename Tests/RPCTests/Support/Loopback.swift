import Logging
import NIOCore
import NIOPosix
import RPC
import Testing

/// Runs `body` with a server of `service` and a channel to it; shuts both down after it.
func withLoopback(
  _ service: EchoService = EchoService(),
  server: ServerConfiguration = ServerConfiguration(),
  channel: ChannelConfiguration = ChannelConfiguration(),
  _ body: (RPCChannel, RPCServer) async throws -> Void
) async throws {
  try await withServer(service, server) { rpcServer, port in
    let rpcChannel = RPCChannel(
      host: "127.0.0.1",
      port: port,
      configuration: channel,
      group: testGroup
    )
    do {
      try await body(rpcChannel, rpcServer)
    } catch {
      await rpcChannel.close()
      throw error
    }
    await rpcChannel.close()
  }
}

/// Runs `body` with a server of `service` on a free port; shuts it down after it.
func withServer(
  _ service: any RPCService = EchoService(),
  _ configuration: ServerConfiguration = ServerConfiguration(),
  logLevel: Logger.Level = .error,
  _ body: (RPCServer, Int) async throws -> Void
) async throws {
  var router = Router()
  router.register(service)
  var configuration = configuration
  configuration.logger.logLevel = logLevel
  // A test whose thread is kept waiting by others for so long is no client that does not speak.
  if configuration.handshakeTimeout == ServerConfiguration().handshakeTimeout {
    configuration.handshakeTimeout = .seconds(300)
  }
  let server = RPCServer(router: router, configuration: configuration, group: testGroup)
  let address = try await server.start()
  do {
    try await body(server, try #require(address.port))
  } catch {
    await server.shutdown(grace: .zero)
    throw error
  }
  await server.shutdown(grace: .zero)
}

/// The loops that every test shares.
let testGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton

/// The error that `body` throws, which must be an `RPCError`.
func failure<R>(_ body: () async throws -> R) async throws -> RPCError {
  do {
    _ = try await body()
  } catch let error as RPCError {
    return error
  }
  throw ExpectedFailure()
}

struct ExpectedFailure: Error {}
