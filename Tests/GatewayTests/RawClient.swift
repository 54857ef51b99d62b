import NIOCore
import NIOPosix
import Synchronization

/// A bare TCP connection, to send what no HTTP client sends and to break off where none does.
final class RawClient: Sendable {
  private let channel: any Channel
  private let received: Received

  private init(_ channel: any Channel, _ received: Received) {
    self.channel = channel
    self.received = received
  }

  /// What came in, as text.
  var text: String { received.state.withLock { String(decoding: $0.bytes, as: UTF8.self) } }
  /// Whether the server has closed its half.
  var isEnded: Bool { received.state.withLock { $0.isEnded } }

  static func connect(port: Int?) async throws -> RawClient {
    let received = Received()
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .channelOption(.allowRemoteHalfClosure, value: true)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(Collector(received))
        }
      }
      .connect(host: "localhost", port: port ?? 0).get()
    return RawClient(channel, received)
  }

  func send(_ text: String) async throws { try await send(ByteBuffer(string: text)) }

  func send(_ bytes: ByteBuffer) async throws { try await channel.writeAndFlush(bytes) }

  /// A POST with its body.
  func post(_ path: String, _ body: String, headers: String = "") async throws {
    try await send(
      "POST \(path) HTTP/1.1\r\nhost: x\r\n\(headers)content-length: \(body.utf8.count)\r\n\r\n\(body)"
    )
  }

  func stopReading() async throws { try await channel.setOption(.autoRead, value: false).get() }

  func close() async throws { try await channel.close() }

  func closeOutput() async throws { try await channel.close(mode: .output) }

  /// Waits for text to come in.
  func receive(_ expected: String) async throws {
    try await eventually { self.text.contains(expected) }
  }

  /// Waits until the server has closed its half; what came in.
  func receiveAll() async throws -> String {
    try await eventually { self.isEnded }
    return text
  }

  final class Received: Sendable {
    let state = Mutex((bytes: [UInt8](), isEnded: false))

    func append(_ buffer: ByteBuffer) {
      state.withLock { $0.bytes += buffer.readableBytesView }
      Events.post()
    }

    func end() {
      state.withLock { $0.isEnded = true }
      Events.post()
    }
  }

  private final class Collector: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let received: Received

    init(_ received: Received) { self.received = received }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      received.append(unwrapInboundIn(data))
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
      if case .some(.inputClosed) = event as? ChannelEvent {
        received.end()
      }
    }

    func channelInactive(context: ChannelHandlerContext) {
      received.end()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
      received.end()
      context.close(promise: nil)
    }
  }
}
