import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import RPC

/// What one connection may take of the server's memory, and how it ends.
@Suite(.timeLimit(.minutes(5))) struct ConnectionLimitsTests {
  private static func head(_ path: String) -> [HeaderField] {
    requestHead.map { $0.name == ":path" ? HeaderField(":path", path) : $0 }
  }

  /// The statuses of the streams that were closed.
  private func statuses(_ events: [HTTP2Event]) -> [String] {
    events.compactMap { event in
      switch event {
      case .head(_, let fields, _, _), .trailers(_, let fields, _): fields.first("grpc-status")
      default: nil
      }
    }
  }

  // MARK: Requests

  @Test func `requests that are half-sent are bounded in all`() async throws {
    var configuration = ServerConfiguration()
    configuration.maxBufferedBytes = 1024 * 1024
    configuration.maxMessageBytes = 1024 * 1024 / 2
    try await withServer(EchoService(), configuration) { _, port in
      // Each claims 400,000 bytes and stops at 300,000: three fit.
      let body: [UInt8] = [0, 0, 6, 0x1a, 0x80] + [UInt8](repeating: 7, count: 300_000)
      for path in ["/test.Echo/Unary", "/test.Echo/Expand", "/test.Echo/Collect"] {
        let events = try await RawPeer.exchange(
          port: port,
          requests: 5,
          answered: 2,
          Self.head(path),
          body,
          end: false
        )
        #expect(statuses(events) == ["8", "8"])
      }
    }
  }

  @Test func `empty messages that wait count for the memory they take`() async throws {
    var configuration = ServerConfiguration()
    configuration.maxBufferedBytes = 1024 * 1024
    configuration.maxMessageBytes = 1024 * 1024 / 2
    var service = EchoService()
    let end = Signal()
    service.collect = { _, _ in
      await waitForCancellation(end)
      return "late"
    }
    try await withServer(service, configuration) { _, port in
      let events = try await RawPeer.exchange(
        port: port,
        requests: 1,
        answered: 1,
        Self.head("/test.Echo/Collect"),
        [UInt8](repeating: 0, count: 5 * 20_000),
        end: false
      )
      #expect(statuses(events) == ["8"])
      await end.wait()
    }
  }

  @Test(arguments: ["/test.Echo/Unary", "/test.Echo/Collect"])
  func `metadata counts before any message comes`(path: String) async throws {
    var configuration = ServerConfiguration()
    configuration.maxBufferedBytes = 128 * 1024
    configuration.maxMessageBytes = 64 * 1024
    var service = EchoService()
    service.collect = { _, _ in
      await waitForCancellation(Signal())
      return "late"
    }
    try await withServer(service, configuration) { server, port in
      let large = HeaderField("large", String(repeating: "x", count: 50_000))
      let events = try await RawPeer.exchange(
        port: port,
        requests: 5,
        answered: 2,
        Self.head(path) + [large],
        end: false
      )
      #expect(statuses(events).prefix(2) == ["8", "8"])
      await server.shutdown(grace: .zero)
      #expect(server.core.requestBytes.usedBytes == 0)
    }
  }

  @Test func `requests that were read are forgotten`() async throws {
    var configuration = ServerConfiguration()
    configuration.maxBufferedBytes = 256 * 1024
    configuration.maxMessageBytes = 128 * 1024
    try await withLoopback(server: configuration) { channel, _ in
      let message = Bytes([UInt8](repeating: 7, count: 100_000))
      for _ in 0..<20 {
        let response: Bytes = try await channel.unary(EchoMethods.unary, message)
        #expect(response == message)
        let all: Bytes = try await channel.clientStreaming(EchoMethods.collect) {
          (requests: RequestWriter<Bytes>) in
          for _ in 0..<10 { try await requests.write(Bytes([UInt8](repeating: 7, count: 10_000))) }
        }
        #expect(all == message)
      }
    }
  }

  @Test func `messages that are dropped leave no clean end behind`() async throws {
    let budget = ByteBudget(limit: 1000)
    let inbox = MessageInbox(windowBytes: 1000, maxMessageBytes: 1000, budget: budget)
    let port = IdlePort()
    for _ in 0..<3 {
      inbox.received(15)
      inbox.push(
        ReceivedMessage(bytes: [UInt8](repeating: 1, count: 10)[...], isCompressed: false)
      )
    }
    let used = budget.usedBytes
    #expect(used >= 30)
    _ = try await inbox.next(for: port)
    #expect(budget.usedBytes == used / 3 * 2)
    inbox.finish(nil)
    inbox.fail(RPCError(.cancelled, "gone"))
    #expect(budget.usedBytes == 0)
    let error = try await failure { try await inbox.next(for: port) }
    #expect(error.code == .cancelled)
  }

  // MARK: Responses

  private static let large = Bytes([UInt8](repeating: 7, count: 1_500_000))

  @Test func `no call begins while the client leaves too much unread`() async throws {
    var configuration = ServerConfiguration()
    configuration.maxUnreadBytes = 2_000_000
    var service = EchoService()
    service.unary = { _, _ in Self.large }
    try await withServer(service, configuration) { _, port in
      // The window of each stream is 1 MiB: two responses wait, and there is no room for more.
      let events = try await RawPeer.exchange(
        port: port,
        requests: 6,
        answered: 4,
        Self.head("/test.Echo/Unary"),
        [0, 0, 0, 0, 0]
      )
      #expect(statuses(events) == ["8", "8", "8", "8"])
    }
  }

  @Test func `no call answers while the client leaves too much unread`() async throws {
    var configuration = ServerConfiguration()
    configuration.maxUnreadBytes = 2_000_000
    let started = Counter()
    let gate = Signal()
    var service = EchoService()
    service.unary = { _, _ in
      started.increment()
      await gate.wait()
      return Self.large
    }
    try await withServer(service, configuration) { _, port in
      async let answers = RawPeer.exchange(
        port: port,
        requests: 6,
        answered: 4,
        Self.head("/test.Echo/Unary"),
        [0, 0, 0, 0, 0]
      )
      _ = await started.wait(above: 5)
      gate.set()
      let events = try await answers
      #expect(statuses(events) == ["8", "8", "8", "8"])
    }
  }

  @Test func `a response passes while the client still sends what nobody reads`() async throws {
    var configuration = ChannelConfiguration()
    configuration.streamWindowBytes = 65_536
    var service = EchoService()
    service.collect = { _, _ in Self.large }
    try await withLoopback(service, channel: configuration) { channel, _ in
      let response: Bytes = try await channel.clientStreaming(EchoMethods.collect) {
        (requests: RequestWriter<Bytes>) in
        while true { try await requests.write(Bytes([UInt8](repeating: 7, count: 8192))) }
      }
      #expect(response == Self.large)
    }
  }

  // MARK: The end

  @Test func `a connection that is through sends its last bytes before it closes`() async throws {
    let listener = try await ServerBootstrap(group: testGroup)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let socket = FullSocket()
          try channel.pipeline.syncOperations.addHandlers([
            socket, try LastAnswer(socket, eventLoop: channel.eventLoop),
          ])
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    let events = try await RawPeer.exchange(
      port: try #require(listener.localAddress?.port),
      requestHead
    )
    #expect(statuses(events) == ["0"])
    try await listener.close()
  }
}

/// A port of a call that is on no connection.
private final class IdlePort: StreamPort {
  let eventLoop: any EventLoop = testGroup.next()

  func giveBack(_ bytes: Int) {}
  func flushOutbox() {}
  func taskCancelled() {}
}

/// Answers one request, says that it is the last, and finds its socket full.
private final class LastAnswer: HTTP2Connection, @unchecked Sendable {
  private let socket: FullSocket

  init(_ socket: FullSocket, eventLoop: any EventLoop) throws {
    self.socket = socket
    try super.init(role: .server, limits: HTTP2SessionLimits(), eventLoop: eventLoop)
  }

  override func handle(_ event: HTTP2Event) {
    guard case .end(let stream) = event else { return }
    socket.isFull = true
    session.submitResponse(
      stream,
      responseHead + [HeaderField("grpc-status", "0")],
      endStream: true
    )
    session.submitGoAway()
    setNeedsFlush()
  }
}

/// A full socket keeps what is written until the connection closes: a close of its output waits for
/// that to be sent, a close of the whole drops it.
private final class FullSocket: ChannelOutboundHandler, @unchecked Sendable {
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  var isFull = false
  private var held: [(data: NIOAny, promise: EventLoopPromise<Void>?)] = []

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    if isFull { held.append((data, promise)) } else { context.write(data, promise: promise) }
  }

  func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
    for write in held {
      if mode == .output {
        context.write(write.data, promise: write.promise)
      } else {
        write.promise?.fail(ChannelError.ioOnClosedChannel)
      }
    }
    held = []
    context.flush()
    context.close(mode: mode, promise: promise)
  }

  @Test func `a stream that is reset with its request leaves no handler that writes for ever`()
    async throws
  {
    let ended = Signal()
    var service = EchoService()
    service.expand = { _, _, responses in
      defer { ended.set() }
      while true { try await responses.write("x") }
    }
    try await withServer(service) { _, port in
      // In one piece: the server sees the reset before the handler first suspends.
      let session = try HTTP2Session(role: .client)
      let fields = requestHead.map {
        $0.name == ":path" ? HeaderField(":path", EchoMethods.expand.path) : $0
      }
      let stream = try #require(session.submitRequest(fields, endStream: false))
      session.send(stream, try MessageFraming.frame(Bytes("")))
      session.finish(stream, trailers: [])
      var bytes: [UInt8] = []
      try session.drain(into: &bytes)
      session.reset(stream, .cancel)
      try session.drain(into: &bytes)
      let (_, channel) = try await RawPeer.connect(port: port, speaks: false)
      try await channel.writeAndFlush(ByteBuffer(bytes: bytes))
      await ended.wait()
      try await channel.close()
    }
  }
}
