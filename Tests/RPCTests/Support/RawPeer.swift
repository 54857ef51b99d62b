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
  private var waiters: [(isMet: ([HTTP2Event]) -> Bool, promise: EventLoopPromise<[HTTP2Event]>)] =
    []
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
    try await exchange(port: port, requests: 1, answered: 1, fields, body, end: end)
  }

  /// Sends the same request many times on one connection and returns what came until that many of
  /// the streams were closed; what comes is not consumed.
  static func exchange(
    port: Int,
    requests: Int,
    answered: Int,
    _ fields: [HeaderField],
    _ body: [UInt8] = [],
    end: Bool = true
  ) async throws -> [HTTP2Event] {
    let (peer, channel) = try await connect(port: port)
    let promise = channel.eventLoop.makePromise(of: [HTTP2Event].self)
    channel.eventLoop.execute {
      peer.waiters.append(
        ({ $0.count { if case .closed = $0 { true } else { false } } >= answered }, promise)
      )
      for _ in 0..<requests {
        guard let stream = peer.session.submitRequest(fields, endStream: false) else {
          return promise.fail(ChannelError.eof)
        }
        peer.session.send(stream, body)
        if end { peer.session.finish(stream, trailers: []) }
      }
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

  /// Runs `body` on the peer's loop and sends what it leads to.
  func perform(_ body: @escaping @Sendable (HTTP2Session) -> Void, on channel: any Channel) async {
    try? await channel.eventLoop.submit {
      body(self.session)
      self.flush()
    }.get()
  }

  private func flush() {
    var output: [UInt8] = []
    try? session.drain(into: &output)
    if !output.isEmpty, let context {
      context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: output)), promise: nil)
    }
    events += session.takeEvents()
    for waiter in waiters where waiter.isMet(events) { waiter.promise.succeed(events) }
    waiters.removeAll { $0.isMet(events) }
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
