import Logging
import NIOCore
import NIOPosix
import Testing

@testable import RPC

/// Clients that do anything in any order.
@Suite(.timeLimit(.minutes(5))) struct ChurnTests {
  private enum Step: Sendable {
    case open(String, endsHead: Bool)
    case send(Int32, [UInt8])
    case finish(Int32)
    case reset(Int32, HTTP2ErrorCode)
    case ping
  }

  private static let service: EchoService = {
    var service = EchoService()
    service.unary = { request, _ in
      await Task.yield()
      return request
    }
    service.expand = { request, _, responses in
      for _ in 0..<20 { try await responses.write(Bytes([UInt8](repeating: 7, count: 10_000))) }
    }
    service.collect = { requests, _ in
      var count = 0
      for try await request in requests {
        count += request.bytes.count
        await Task.yield()
        if count > 50_000 { throw RPCError(.outOfRange, "enough") }
      }
      return Bytes("\(count)")
    }
    return service
  }()

  private func listen(
    _ accepted: EventLoopPromise<ServerConnection>,
    _ core: ServerCore
  ) async throws -> any Channel {
    try await ServerBootstrap(group: testGroup)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try core.admit(nil, at: channel.eventLoop.now)
          let connection = try ServerConnection(
            core: core,
            eventLoop: channel.eventLoop,
            remoteAddress: "test"
          )
          try channel.pipeline.syncOperations.addHandler(connection)
          core.admitted(connection, from: nil)
          accepted.succeed(connection)
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
  }

  private func steps(seed: Int) -> [Step] {
    var generator = SeededGenerator(seed: UInt64(seed))
    var last: Int32 = -1
    return (0..<200).map { _ in
      let stream = Int32.random(in: 0...max(0, last / 2), using: &generator) * 2 + 1
      switch Int.random(in: 0..<12, using: &generator) {
      case 0..<4:
        last += 2
        let method =
          ["Unary", "Expand", "Collect", "Chat", "Nope"]
          .randomElement(using: &generator) ?? ""
        return .open(
          "/test.Echo/\(method)",
          endsHead: Int.random(in: 0..<9, using: &generator) == 0
        )
      case 4..<8:
        let claimed = Int.random(in: 0...30_000, using: &generator)
        let count = Bool.random(using: &generator) ? claimed : claimed / 2
        let prefix = [0, 0, 0, UInt8(claimed >> 8), UInt8(claimed & 0xff)]
        return .send(stream, prefix + [UInt8](repeating: 7, count: count))
      case 8, 9: return .finish(stream)
      case 10:
        let codes: [HTTP2ErrorCode] = [.cancel, .noError, .refusedStream, .internalError]
        return .reset(stream, codes.randomElement(using: &generator) ?? .cancel)
      default: return .ping
      }
    }
  }

  @Test(arguments: 0..<30)
  func `whatever a client does, nothing stays counted when it is gone`(seed: Int) async throws {
    var configuration = ServerConfiguration()
    configuration.maxMessageBytes = 25_000
    configuration.maxBufferedBytes = 100_000
    configuration.maxUnreadBytes = 300_000
    configuration.streamWindowBytes = 65_536
    configuration.maxConcurrentStreams = 20
    configuration.logger.logLevel = .critical
    let ended = Counter()
    configuration.onCallEnd = { _ in ended.increment() }
    var router = Router()
    router.register(Self.service)
    let core = ServerCore(router: router, configuration: configuration)
    let accepted = testGroup.next().makePromise(of: ServerConnection.self)
    let listener = try await listen(accepted, core)
    let (peer, channel) = try await RawPeer.connect(port: listener.localAddress?.port ?? 0)
    let connection = try await accepted.futureResult.get()
    for step in steps(seed: seed) {
      await peer.perform(
        { session in
          switch step {
          case .open(let path, let endsHead):
            let head = requestHead.map { $0.name == ":path" ? HeaderField(":path", path) : $0 }
            _ = session.submitRequest(head, endStream: endsHead)
          case .send(let stream, let bytes): session.send(stream, bytes)
          case .finish(let stream): session.finish(stream, trailers: [])
          case .reset(let stream, let code): session.reset(stream, code)
          case .ping: session.submitPing()
          }
        },
        on: channel
      )
    }
    try? await channel.close()
    // Every handler and the connection are gone.
    await core.waitUntilIdle()
    #expect(connection.requestBudget.usedBytes == 0)
    #expect(ended.value > 0)
    try await listener.close()
  }
}
