import Logging
import NIOCore
import Synchronization
import Testing

@testable import RPC

/// Clients that break no rule of HTTP/2, but the server if it let them, as raw bytes: each is cut
/// with ENHANCE_YOUR_CALM, reads why, and stands in the log.
@Suite(.timeLimit(.minutes(5))) struct AbuseTests {
  private static let head = RawFrame.call(1)

  /// Sends bytes after the preface and expects to be cut for `reason`.
  private func expectCut(
    _ reason: String,
    after frames: [RawFrame],
    by configuration: ServerConfiguration = ServerConfiguration(),
    of service: EchoService = EchoService()
  ) async throws {
    let log = LogCapture()
    var configuration = configuration
    configuration.logger = log.logger
    try await withServer(service, configuration, logLevel: .warning) { _, port in
      let answer = try await RawSocket.exchange(port: port, RawFrame.hello + frames.bytes)
      #expect(answer.goAway?.code == 11)
      #expect(answer.goAway?.debug == reason)
      await log.wait(for: reason)
      #expect(log.lines.contains { $0.hasPrefix("connection cut") && $0.contains("127.0.0.1:") })
    }
  }

  // MARK: Floods

  @Test func `rapid resets`() async throws {
    var configuration = ServerConfiguration()
    configuration.earlyResetBurst = 50
    configuration.earlyResetsPerSecond = 1
    let frames = (0..<100 as Range<UInt32>).flatMap { index in
      [RawFrame.call(2 * index + 1), .reset(2 * index + 1, 8)]
    }
    try await expectCut(
      "too many resets of streams before their response",
      after: frames,
      by: configuration
    )
  }

  @Test func `resets that the client makes the server send`() async throws {
    var configuration = ServerConfiguration()
    configuration.earlyResetBurst = 50
    configuration.earlyResetsPerSecond = 1
    // A window above its largest is an error of the stream (RFC 9113, 6.9.1).
    let frames = (0..<100 as Range<UInt32>).flatMap { index in
      [
        RawFrame.call(2 * index + 1),
        RawFrame(type: 8, stream: 2 * index + 1, payload: [0x7f, 0xff, 0xff, 0xff]),
      ]
    }
    try await expectCut(
      "too many streams reset because of errors",
      after: frames,
      by: configuration
    )
  }

  @Test func `CONTINUATION frames without end`() async throws {
    var begin = Self.head
    begin.flags = 0
    let more = RawFrame(type: 9, stream: 1, payload: RawFrame.block([("a", "b")]))
    try await expectCut(
      "too many CONTINUATION frames",
      after: [begin] + [RawFrame](repeating: more, count: 1000)
    )
  }

  @Test func `PINGs that are allowed by time but not in number`() async throws {
    var configuration = ServerConfiguration()
    configuration.minPingInterval = .zero
    configuration.permitsPingsWithoutCalls = true
    let pings = [RawFrame](repeating: .ping, count: 5000)
    try await expectCut("too many PING frames", after: pings, by: configuration)
  }

  @Test(arguments: [
    (RawFrame.settings, "too many SETTINGS frames"),
    (RawFrame(type: 2, stream: 1, payload: [0, 0, 0, 0, 9]), "too many PRIORITY frames"),
    (RawFrame.data(1, []), "too many empty DATA frames"),
    // A byte that says how much padding follows: none.
    (RawFrame(type: 0, flags: 8, stream: 1, payload: [0]), "too many empty DATA frames"),
    (RawFrame(type: 0, flags: 8, stream: 1, payload: [2, 0, 0]), "too many empty DATA frames"),
    (RawFrame(type: 8, payload: [0, 0, 0, 1]), "too many WINDOW_UPDATE frames"),
    (RawFrame(type: 8, stream: 1, payload: [0, 0, 0, 1]), "too many WINDOW_UPDATE frames"),
  ])
  func `frames that carry no work`(frame: RawFrame, reason: String) async throws {
    try await expectCut(
      reason,
      after: [Self.head] + [RawFrame](repeating: frame, count: 5000)
    )
  }

  @Test func `a header block that decompresses to a multiple of the limit`() async throws {
    // One entry of 4,000 bytes in the table, named by one byte each (RFC 7541, 6.1).
    let value = [UInt8](repeating: 97, count: 4000)
    let entry: [UInt8] = [0x40, 1, 98, 0x7f, 0xa1, 0x1e] + value
    let bomb = [UInt8](repeating: 0xbe, count: 12_000)
    var head = Self.head
    head.payload += entry + bomb
    try await expectCut("a header block that decompresses to too much", after: [head])
  }

  @Test func `a header list above the limit costs its call alone`() async throws {
    try await withServer { _, port in
      let (socket, channel) = try await RawSocket.connect(port: port)
      var head = RawFrame.call(1, end: true)
      head.payload += [0x40, 1, 98, 0x7f, 0xa1, 0x1e] + [UInt8](repeating: 97, count: 4000)
      head.payload += [UInt8](repeating: 0xbe, count: 100)
      let next: [RawFrame] = [.call(3), .data(3, [0, 0, 0, 0, 0], end: true)]
      try await channel.writeAndFlush(
        ByteBuffer(bytes: RawFrame.hello + head.bytes + next.bytes)
      )
      let answer = await socket.wait { $0.contains { $0.stream == 3 && $0.flags & 1 == 1 } }
      #expect(answer.contains { $0.stream == 1 && $0.type == 1 && $0.flags & 1 == 1 })
      #expect(answer.goAway == nil)
      try await channel.close()
    }
  }

  // MARK: Slowness

  @Test func `a header block that is never complete`() async throws {
    var configuration = ServerConfiguration()
    configuration.headersTimeout = .milliseconds(50)
    var begin = Self.head
    begin.flags = 0
    try await expectCut(
      "a header block is not complete in time",
      after: [begin],
      by: configuration
    )
  }

  @Test func `responses that the client gives no window for cost their call alone`() async throws {
    var configuration = ServerConfiguration()
    configuration.responseStallTimeout = .milliseconds(50)
    let log = LogCapture()
    configuration.logger = log.logger
    let ended = Counter()
    configuration.onCallEnd = { if $0.status == .resourceExhausted { ended.increment() } }
    var service = EchoService()
    service.unary = { request, _ in
      request == "big" ? Bytes([UInt8](repeating: 7, count: 200_000)) : request
    }
    service.expand = { _, _, responses in
      while true { try await responses.write(Bytes([UInt8](repeating: 7, count: 10_000))) }
    }
    try await withServer(service, configuration, logLevel: .warning) { _, port in
      let (socket, channel) = try await RawSocket.connect(port: port)
      // Streams get a window of 1,000 bytes, of which nothing is ever given back.
      let settings = RawFrame(type: 4, payload: [0, 4, 0, 0, 3, 0xe8])
      let frames: [RawFrame] = [
        settings, .call(1), .data(1, [0, 0, 0, 0, 3] + Array("big".utf8), end: true),
        .call(3, path: "/test.Echo/Expand"), .data(3, [0, 0, 0, 0, 0], end: true),
        .call(5, path: "/test.Echo/Chat"), .data(5, [0, 0, 0, 0, 1, 65]),
      ]
      try await channel.writeAndFlush(ByteBuffer(bytes: RawFrame.preface + frames.bytes))
      var answer = await socket.wait { frames in
        [1, 3].allSatisfy { frames.contains(.reset($0, 11)) }
      }
      #expect(answer.goAway == nil)
      // The handler that has ended is through with its call, the one that streams is not.
      _ = await ended.wait(above: 0)
      #expect(log.lines.contains { $0.hasPrefix("stream cut") })
      // A stream whose client takes what there is goes on.
      try await channel.writeAndFlush(
        ByteBuffer(bytes: RawFrame.data(5, [0, 0, 0, 0, 1, 66], end: true).bytes)
      )
      answer = await socket.wait { $0.contains { $0.stream == 5 && $0.flags & 1 == 1 } }
      #expect(answer.filter { $0.type == 0 && $0.stream == 5 }.map(\.payload.last) == [65, 66])
      try await channel.close()
    }
  }

  @Test func `a socket that the client does not read`() async throws {
    var configuration = ServerConfiguration()
    configuration.writeStallTimeout = .milliseconds(50)
    let log = LogCapture()
    configuration.logger = log.logger
    let ended = Signal()
    var service = EchoService()
    service.expand = { _, _, responses in
      defer { ended.set() }
      while true { try await responses.write(Bytes([UInt8](repeating: 7, count: 1_000_000))) }
    }
    try await withServer(service, configuration, logLevel: .warning) { _, port in
      let (_, channel) = try await RawSocket.connect(port: port, reads: false)
      let frames: [RawFrame] = [
        RawFrame(type: 4, payload: [0, 4, 0x7f, 0xff, 0xff, 0xff]),
        RawFrame(type: 8, payload: [0x7f, 0, 0, 0]), .call(1, path: "/test.Echo/Expand"),
        .data(1, [0, 0, 0, 0, 0], end: true),
      ]
      try await channel.writeAndFlush(ByteBuffer(bytes: RawFrame.preface + frames.bytes))
      await log.wait(for: "the client does not read from its socket")
      await ended.wait()
      try? await channel.close()
    }
  }

  @Test func `half a request costs its call alone`() async throws {
    var configuration = ServerConfiguration()
    configuration.requestTimeout = .milliseconds(50)
    try await withServer(EchoService(), configuration) { _, port in
      let channel = RPCChannel(host: "127.0.0.1", port: port, group: testGroup)
      let chat: BidirectionalCall<Bytes, Bytes> = try await channel.bidirectional(EchoMethods.chat)
      try await chat.requests.write("early")
      let (socket, raw) = try await RawSocket.connect(port: port)
      let begin: [RawFrame] = [.call(1), .data(1, [0, 0, 0, 0, 9, 1])]
      try await raw.writeAndFlush(ByteBuffer(bytes: RawFrame.hello + begin.bytes))
      _ = await socket.wait { $0.contains { $0.stream == 1 && $0.flags & 1 == 1 } }
      let next: [RawFrame] = [.call(3), .data(3, [0, 0, 0, 0, 0], end: true)]
      try await raw.writeAndFlush(ByteBuffer(bytes: next.bytes))
      let answer = await socket.wait { $0.contains { $0.stream == 3 && $0.flags & 1 == 1 } }
      #expect(answer.goAway == nil)
      try await raw.close()
      // Streams of requests may take their time.
      try await chat.requests.write("late")
      chat.requests.finish()
      var all: [Bytes] = []
      for try await response in chat.responses { all.append(response) }
      #expect(all == ["early", "late"])
      await channel.close()
    }
  }

  // MARK: Those who must survive

  @Test func `a client that cancels one call after the other keeps its connection`() async throws {
    let addresses = Mutex(Set<String>())
    let started = Counter()
    var service = EchoService()
    service.unary = { request, context in
      _ = addresses.withLock { $0.insert(context.remoteAddress) }
      started.increment()
      await waitForCancellation(Signal())
      return request
    }
    try await withLoopback(service) { channel, _ in
      for index in 0..<300 {
        let call = Task {
          try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes
        }
        _ = await started.wait(above: index)
        call.cancel()
        _ = try? await call.value
      }
    }
    #expect(addresses.withLock { $0.count } == 1)
  }
}
