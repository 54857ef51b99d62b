import NIOCore
import NIOPosix

/// A TCP client that sends and receives plain bytes, to test servers with input that no decent
/// client would send.
final class RawClient: Sendable {
  /// Loop-confined; holds what has arrived and who waits for it.
  private final class Collector: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer

    private struct State {
      var text = ""
      var isClosed = false
      var waiters: [(@Sendable (String) -> Bool, EventLoopPromise<String>)] = []
    }

    private let state: NIOLoopBoundBox<State>

    init(_ loop: any EventLoop) {
      state = .makeBoxSendingValue(State(), eventLoop: loop)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      state.value.text += String(buffer: unwrapInboundIn(data))
      serve()
    }

    func channelInactive(context: ChannelHandlerContext) {
      state.value.isClosed = true
      serve()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
      context.close(promise: nil)
    }

    func wait(
      _ condition: @escaping @Sendable (String) -> Bool,
      _ promise: EventLoopPromise<String>
    ) {
      state.value.waiters.append((condition, promise))
      serve()
    }

    private func serve() {
      let (text, isClosed) = (state.value.text, state.value.isClosed)
      for (condition, promise) in state.value.waiters where isClosed || condition(text) {
        promise.succeed(text)
      }
      state.value.waiters.removeAll { isClosed || $0.0(text) }
    }
  }

  private let channel: any Channel
  private let collector: Collector

  /// Connects to a port of this machine; `readsNothing` leaves what arrives in the kernel.
  init(port: Int, readsNothing: Bool = false) async throws {
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    let collector = Collector(loop)
    self.collector = collector
    channel = try await ClientBootstrap(group: loop)
      .channelOption(.autoRead, value: !readsNothing)
      .channelOption(.socketOption(.so_rcvbuf), value: readsNothing ? 4096 : 262_144)
      .channelInitializer { channel in channel.pipeline.addHandler(collector) }
      .connect(host: "127.0.0.1", port: port).get()
  }

  func send(_ text: String) async throws {
    try await channel.writeAndFlush(ByteBuffer(string: text))
  }

  /// Starts to send without waiting until the system has taken it.
  func sendLater(_ text: String) {
    channel.writeAndFlush(ByteBuffer(string: text), promise: nil)
  }

  /// Begins to read, for a client that did not.
  func startReading() async throws {
    try await channel.setOption(.autoRead, value: true).get()
  }

  /// Everything received, once `condition` holds for it or the server has closed.
  func received(until condition: @escaping @Sendable (String) -> Bool) async throws -> String {
    let promise = channel.eventLoop.makePromise(of: String.self)
    let collector = collector
    channel.eventLoop.execute { collector.wait(condition, promise) }
    return try await promise.futureResult.get()
  }

  /// Everything received, once the server has closed.
  func receivedToEnd() async throws -> String { try await received { _ in false } }

  func close() async { try? await channel.close() }
}
