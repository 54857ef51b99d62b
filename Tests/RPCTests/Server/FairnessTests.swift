import NIOCore
import NIOPosix
import Testing

@testable import RPC

/// One call must not keep a loop from the others, whatever its handler and its client do.
@Suite(.timeLimit(.minutes(5))) struct FairnessTests {
  /// Reads and forgets.
  private final class Sink: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let first: Signal

    init(_ first: Signal) {
      self.first = first
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      first.set()
    }
  }

  /// Runs `body` with the port of a server of one thread, and a connection that has made a call of `path` and
  /// takes whatever comes.
  private func withGreedyClient(
    of path: String,
    _ service: EchoService,
    _ body: (RPCChannel) async throws -> Void
  ) async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    var router = Router()
    router.register(service)
    let server = RPCServer(router: router, configuration: ServerConfiguration(), group: group)
    let port = try #require(try await server.start().port)
    let first = Signal()
    let greedy = try await ClientBootstrap(group: testGroup)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(Sink(first))
        }
      }
      .connect(host: "127.0.0.1", port: port).get()
    // The widest windows there are (RFC 9113, 6.9.1), so that nothing but the server ends its turn.
    let window = RawFrame(type: 4, payload: [0, 4, 0x7f, 0xff, 0xff, 0xff])
    let connection = RawFrame(type: 8, payload: [0x7f, 0xff, 0, 0])
    let call: [RawFrame] = [.call(1, path: path), .data(1, [0, 0, 0, 0, 0], end: true)]
    let bytes = RawFrame.preface + ([window, connection] + call).bytes
    try await greedy.writeAndFlush(ByteBuffer(bytes: bytes))
    await first.wait()
    // What it sends meanwhile makes the server look at its connection time and again.
    let update = ByteBuffer(bytes: RawFrame(type: 8, payload: [0, 0, 0, 1]).bytes)
    let updates = greedy.eventLoop.scheduleRepeatedTask(
      initialDelay: .zero,
      delay: .milliseconds(1)
    ) { _ in
      greedy.writeAndFlush(update, promise: nil)
    }
    defer { updates.cancel() }
    let channel = RPCChannel(host: "127.0.0.1", port: port, group: testGroup)
    do {
      try await body(channel)
    } catch {
      Issue.record(error)
    }
    await channel.close()
    try? await greedy.close()
    await server.shutdown(grace: .zero)
    try await group.shutdownGracefully()
  }

  @Test func `a stream that is written as fast as its client reads leaves room for other calls`()
    async throws
  {
    var service = EchoService()
    let message = Bytes([UInt8](repeating: 7, count: 100))
    service.expand = { _, _, responses in
      while true { try await responses.write(message) }
    }
    try await withGreedyClient(of: EchoMethods.expand.path, service) { channel in
      for _ in 0..<20 {
        let answer: Bytes = try await channel.unary(
          EchoMethods.unary,
          Bytes("x"),
          options: CallOptions(timeout: .seconds(60))
        )
        #expect(answer == "x")
      }
    }
  }

  @Test func `a handler that yields for ever leaves room for other calls and sees its end`()
    async throws
  {
    var service = EchoService()
    let ended = Signal()
    service.expand = { request, _, responses in
      try await responses.write(request)
      while !Task.isCancelled { await Task.yield() }
      ended.set()
    }
    try await withGreedyClient(of: EchoMethods.expand.path, service) { channel in
      for _ in 0..<20 {
        let answer: Bytes = try await channel.unary(
          EchoMethods.unary,
          Bytes("x"),
          options: CallOptions(timeout: .seconds(60))
        )
        #expect(answer == "x")
      }
    }
    await ended.wait()
  }
}
