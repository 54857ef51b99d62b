import NIOCore
import NIOPosix

@testable import RPC

/// A client that speaks HTTP/2 frame by frame, or raw bytes, to see what a server answers.
///
/// `@unchecked Sendable`: the variables are used on the channel's loop alone.
final class RawPeer: ChannelInboundHandler, @unchecked Sendable {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private let session: HTTP2Session
  private var events: [HTTP2Event] = []
  private var waiters: [(stream: Int32, promise: EventLoopPromise<[HTTP2Event]>)] = []
  private var context: ChannelHandlerContext?

  private init() throws {
    session = try HTTP2Session(role: .client)
  }

  /// Connects; with `speaks` false it sends nothing by itself.
  static func connect(port: Int, speaks: Bool = true) async throws -> (RawPeer, any Channel) {
    let peer = try RawPeer()
    let channel = try await ClientBootstrap(group: testGroup)
      .channelInitializer { channel in
        guard speaks else { return channel.eventLoop.makeSucceededVoidFuture() }
        return channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(peer)
        }
      }
      .connect(host: "127.0.0.1", port: port).get()
    return (peer, channel)
  }

  /// Sends one request and returns what came until its stream was closed.
  static func exchange(
    port: Int,
    _ fields: [HeaderField],
    _ body: [UInt8] = [],
    end: Bool = true
  ) async throws -> [HTTP2Event] {
    let (peer, channel) = try await connect(port: port)
    let promise = channel.eventLoop.makePromise(of: [HTTP2Event].self)
    channel.eventLoop.execute {
      guard let stream = peer.session.submitRequest(fields, endStream: false) else {
        return promise.fail(ChannelError.eof)
      }
      peer.waiters.append((stream, promise))
      peer.session.send(stream, body)
      if end { peer.session.finish(stream, trailers: []) }
      peer.flush()
    }
    let events = try await promise.futureResult.get()
    try? await channel.close()
    return events
  }

  /// Sends bytes as they are and waits until the server closes the connection.
  static func sendUntilClosed(port: Int, _ bytes: [UInt8]) async throws {
    let (_, channel) = try await connect(port: port, speaks: false)
    try? await channel.writeAndFlush(ByteBuffer(bytes: bytes))
    try await channel.closeFuture.get()
  }

  private func flush() {
    var output: [UInt8] = []
    try? session.drain(into: &output)
    if !output.isEmpty, let context {
      context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: output)), promise: nil)
    }
    events += session.takeEvents()
    for event in events {
      guard case .closed(let stream, _) = event else { continue }
      for waiter in waiters where waiter.stream == stream { waiter.promise.succeed(events) }
      waiters.removeAll { $0.stream == stream }
    }
  }

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    self.context = nil
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let buffer = unwrapInboundIn(data)
    try? session.receive(Array(buffer.readableBytesView))
    flush()
  }

  func channelInactive(context: ChannelHandlerContext) {
    for waiter in waiters { waiter.promise.fail(ChannelError.eof) }
    waiters = []
  }
}
