import Foundation
import Logging
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import RPC

/// The sockets that a server listens on.
@Suite(.timeLimit(.minutes(5))) struct ListenersTests {
  @Test func `each loop accepts on a socket of its own, all on one port`() async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
    let log = LogCapture()
    var configuration = ServerConfiguration()
    configuration.listeners = 4
    configuration.logger = log.logger
    let loops = Mutex(Set<ObjectIdentifier>())
    let listeners = try await Listeners.open(configuration, group: group) { channel in
      loops.withLock { _ = $0.insert(ObjectIdentifier(channel.eventLoop)) }
      return channel.close()
    }
    #expect(listeners.channels.count == 2, "\(log.lines)")
    #expect(Set(listeners.channels.map { $0.localAddress?.port }).count == 1)
    #expect(Set(listeners.channels.map { ObjectIdentifier($0.eventLoop) }).count == 2)
    let port = try #require(listeners.address?.port)
    // The system spreads connections by their ports: a hundred hardly all go to one.
    for _ in 0..<100 { #expect(try await RawSocket.exchange(port: port, []) == []) }
    #expect(loops.withLock { $0.count } == 2)
    await listeners.close()
    try await group.shutdownGracefully()
  }

  @Test func `a server with several sockets serves and ends as one`() async throws {
    var configuration = ServerConfiguration()
    configuration.listeners = 2
    try await withServer(EchoService(), configuration) { server, port in
      for _ in 0..<10 {
        let channel = RPCChannel(host: "127.0.0.1", port: port, group: testGroup)
        #expect(try await channel.unary(EchoMethods.unary, Bytes("x")) == Bytes("x"))
        await channel.close()
      }
      // No other server slips onto the port.
      var second = configuration
      second.port = port
      let other = RPCServer(router: Router(), configuration: second, group: testGroup)
      let error = try await failure { try await other.start() }
      #expect(error.code == .unavailable)
      await server.shutdown(grace: .zero)
      await #expect(throws: (any Error).self) { try await RawSocket.connect(port: port) }
    }
  }

  @Test func `a socket of the Unix domain`() async throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent(
      "rpc-\(UInt32.random(in: 0 ... .max)).sock"
    ).path
    var configuration = ServerConfiguration()
    configuration.unixSocketPath = path
    configuration.logger.logLevel = .error
    let peers = Mutex([String]())
    var service = EchoService()
    service.unary = { request, context in
      peers.withLock { $0.append(context.remoteAddress) }
      return request
    }
    var router = Router()
    router.register(service)
    let server = RPCServer(router: router, configuration: configuration, group: testGroup)
    let address = try await server.start()
    #expect(address.pathname == path)
    let socket = RawSocket()
    let channel = try await ClientBootstrap(group: testGroup)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(socket)
        }
      }
      .connect(unixDomainSocketPath: path).get()
    let frames: [RawFrame] = [.call(1), .data(1, [0, 0, 0, 0, 0], end: true)]
    try await channel.writeAndFlush(ByteBuffer(bytes: RawFrame.hello + frames.bytes))
    let answer = await socket.wait { $0.contains { $0.stream == 1 && $0.flags & 1 == 1 } }
    #expect(answer.contains { $0.type == 0 && $0.payload == [0, 0, 0, 0, 0] })
    let client = RPCChannel(target: try ChannelTarget(parsing: "unix:\(path)"), group: testGroup)
    #expect(try await client.unary(EchoMethods.unary, Bytes("x")) == Bytes("x"))
    #expect(peers.withLock { $0.count } == 2)
    await client.close()
    try await channel.close()
    await server.shutdown(grace: .zero)
    #expect(!FileManager.default.fileExists(atPath: path))
  }

  @Test func `a server that ends leaves the socket of its successor alone`() async throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent(
      "rpc-\(UInt32.random(in: 0 ... .max)).sock"
    ).path
    var configuration = ServerConfiguration()
    configuration.unixSocketPath = path
    configuration.logger.logLevel = .critical
    var router = Router()
    router.register(EchoService())
    let first = RPCServer(router: router, configuration: configuration, group: testGroup)
    _ = try await first.start()
    let second = RPCServer(router: router, configuration: configuration, group: testGroup)
    _ = try await second.start()
    // What cannot start twice takes nothing away either.
    let error = try await failure { try await second.start() }
    #expect(error.code == .failedPrecondition)
    await first.shutdown(grace: .zero)
    let client = RPCChannel(target: try ChannelTarget(parsing: "unix:\(path)"), group: testGroup)
    #expect(try await client.unary(EchoMethods.unary, Bytes("x")) == Bytes("x"))
    await client.close()
    await second.shutdown(grace: .zero)
    #expect(!FileManager.default.fileExists(atPath: path))
  }

  @Test func `a client of IPv6 is known by its network`() throws {
    let names = try [
      "192.0.2.7", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2:ffff::1", "::ffff:192.0.2.7", "::1",
    ].map { try SocketAddress(ipAddress: $0, port: 1).accountName }
    #expect(
      names == [
        "192.0.2.7", "2001:db8:1:2::/64", "2001:db8:1:2::/64", "192.0.2.7", "0:0:0:0::/64",
      ]
    )
  }

  @Test(arguments: [Int.max, 0, -1])
  func `sizes that HTTP/2 cannot say are brought to what it can`(size: Int) async throws {
    var configuration = ServerConfiguration()
    configuration.streamWindowBytes = size
    configuration.writeBufferBytes = size
    if size > 0 { configuration.maxMetadataBytes = size }
    if size > 0 { configuration.maxConcurrentStreams = size }
    try await withLoopback(server: configuration) { channel, _ in
      let responses: ResponseStream<Bytes> = try await channel.serverStreaming(
        EchoMethods.expand,
        Bytes("abc")
      )
      var text = ""
      for try await response in responses { text += response.text }
      #expect(text == "abc")
    }
  }
}
