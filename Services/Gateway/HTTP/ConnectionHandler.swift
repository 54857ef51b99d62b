import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import ServiceKit

/// What one public connection needs beyond Hummingbird: on the event loop, without a task.
///
/// - fires the ``ClientWatch``es of requests when the client goes away;
/// - answers a head that is not HTTP with an error body, where NIO's default is an empty one;
/// - invites a body (`Expect: 100-continue`) unless its length alone is too much;
/// - writes `: ping` into an event stream that has been silent for a while;
/// - bounds what is read of a request that has been answered already, and closes such a connection
///   so that the answer arrives: output first, all of it when the client has closed or after a
///   while.
///
/// Not thread-safe; lives on its channel's event loop.
final class ConnectionHandler: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPRequestPart
  typealias InboundOut = HTTPRequestPart
  typealias OutboundIn = HTTPResponsePart
  typealias OutboundOut = HTTPResponsePart

  /// The bounds of a connection.
  struct Limits: Sendable {
    /// Largest body that is invited.
    var bodyBytesMax = 4 << 20
    /// Silence in an event stream after which a comment is sent.
    var pingInterval = TimeAmount.seconds(15)
    /// Most bytes read of a request after its answer, so that the client gets to read that answer.
    var drainBytesMax = 64 << 20
    /// Longest time to read on after the answer.
    var drainTime = TimeAmount.seconds(30)
    /// Longest wait for the client to close after our half is closed.
    var lingerTime = TimeAmount.seconds(2)
  }

  private static let ping = ByteBuffer(string: ": ping\n\n")

  private let limits: Limits
  private var watches: [ObjectIdentifier: ClientWatch] = [:]
  private var isClosed = false
  /// A request's head has been read and its end has not.
  private var isReading = false
  /// Requests read whose answer is not complete.
  private var openRequests = 0
  /// The head of the current answer is out, its end is not.
  private var isAnswering = false
  /// The current answer says `connection: close`.
  private var closesAfterAnswer = false
  /// The answer to the request being read is complete.
  private var drainedBytes: Int?
  /// We end the connection; whatever the application still writes is dropped.
  private var isEnding = false
  private var lastWrite = NIODeadline.now()
  private var pings: Scheduled<Void>?
  private var closing: Scheduled<Void>?

  init(limits: Limits) { self.limits = limits }

  func handlerRemoved(context: ChannelHandlerContext) {
    clientClosed()
    closing?.cancel()
    closing = nil
  }

  // MARK: - Inbound

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let part = unwrapInboundIn(data)
    switch part {
    case .head(let head):
      isReading = true
      openRequests += 1
      drainedBytes = nil
      if !isEnding { invite(head, context) }
    case .body(let buffer):
      if let drained = drainedBytes {
        drainedBytes = drained + buffer.readableBytes
        if drained + buffer.readableBytes > limits.drainBytesMax { context.close(promise: nil) }
        // The answer is out: nobody reads this.
        return
      }
    case .end:
      isReading = false
      if drainedBytes != nil {
        drainedBytes = nil
        closing?.cancel()
        closing = nil
        if closesAfterAnswer { end(context) }
      }
    }
    context.fireChannelRead(data)
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case .some(.inputClosed) = event as? ChannelEvent {
      clientClosed()
      // A client that is done sending is taken for gone, as other servers do. In the midst of an
      // answer, closing also frees a writer that waits for the client to read.
      if isEnding || isAnswering { context.close(promise: nil) }
    }
    context.fireUserInboundEventTriggered(event)
  }

  func channelInactive(context: ChannelHandlerContext) {
    clientClosed()
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard !(error is IOError), !(error is ChannelError), !isClosed else {
      context.fireErrorCaught(error)
      return
    }
    // Not HTTP. What follows cannot be read; requests read before are given up.
    clientClosed()
    guard !isEnding else { return }
    if !isAnswering { answer(Self.answer(to: error), context) }
    end(context)
  }

  private static func answer(to error: any Error) -> GatewayError {
    switch error as? HTTPParserError {
    case .headerOverflow: GatewayError(.headTooLarge, "The request's headers are too large.")
    default: .invalid(nil, nil, "The request is not valid HTTP.")
    }
  }

  private func clientClosed() {
    isClosed = true
    pings?.cancel()
    pings = nil
    for watch in watches.values { watch.fire(.clientClosed) }
    watches.removeAll()
  }

  private func invite(_ head: HTTPRequest, _ context: ChannelHandlerContext) {
    guard head.headerFields[.expect]?.lowercased() == "100-continue", openRequests == 1,
      (head.headerFields[.contentLength].flatMap { Int($0) } ?? 0) <= limits.bodyBytesMax
    else { return }
    context.writeAndFlush(wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
  }

  // MARK: - Outbound

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    guard !isEnding else {
      promise?.succeed()
      return
    }
    lastWrite = .now()
    let part = unwrapOutboundIn(data)
    switch part {
    case .head(let head) where head.status.kind == .informational: break
    case .head(let head):
      isAnswering = true
      closesAfterAnswer = head.headerFields[.connection] == "close"
      if head.headerFields[.contentType]?.hasPrefix("text/event-stream") == true {
        schedulePing(context)
      }
    case .body: break
    case .end:
      isAnswering = false
      openRequests -= 1
      pings?.cancel()
      pings = nil
      context.write(data, promise: promise)
      context.flush()
      answered(context)
      return
    }
    context.write(data, promise: promise)
  }

  /// An answer is complete: what is still to come of its request is read and dropped.
  private func answered(_ context: ChannelHandlerContext) {
    guard isReading, openRequests == 0 else {
      if closesAfterAnswer { end(context) }
      return
    }
    drainedBytes = 0
    scheduleClose(in: limits.drainTime, context)
  }

  func triggerUserOutboundEvent(
    context: ChannelHandlerContext,
    event: Any,
    promise: EventLoopPromise<Void>?
  ) {
    guard let registration = event as? ClientWatch.Registration else {
      context.triggerUserOutboundEvent(event, promise: promise)
      return
    }
    let watch = registration.watch
    if !registration.isAdded {
      watches[ObjectIdentifier(watch)] = nil
    } else if isClosed {
      watch.fire(.clientClosed)
    } else {
      watches[ObjectIdentifier(watch)] = watch
    }
    promise?.succeed()
  }

  /// Writes a whole answer of our own.
  private func answer(_ error: GatewayError, _ context: ChannelHandlerContext) {
    let body = ByteBuffer(bytes: error.body)
    let head = HTTPResponse(
      status: .init(code: error.status),
      headerFields: [
        .contentType: "application/json", .contentLength: String(body.readableBytes),
        .connection: "close", .requestID: RequestContext.freshID(),
      ]
    )
    context.write(wrapOutboundOut(.head(head)), promise: nil)
    context.write(wrapOutboundOut(.body(body)), promise: nil)
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
  }

  // MARK: - The end of a connection

  /// Closes our half, and the whole when the client has closed its own or after the linger time:
  /// closing at once with bytes unread would reset the connection, and the client would lose the
  /// answer.
  private func end(_ context: ChannelHandlerContext) {
    guard !isEnding else { return }
    isEnding = true
    context.close(mode: .output, promise: nil)
    scheduleClose(in: limits.lingerTime, context)
  }

  private func scheduleClose(in time: TimeAmount, _ context: ChannelHandlerContext) {
    closing?.cancel()
    closing = context.eventLoop.assumeIsolated().scheduleTask(in: time) {
      context.close(promise: nil)
    }
  }

  private func schedulePing(_ context: ChannelHandlerContext) {
    pings?.cancel()
    let due = lastWrite + limits.pingInterval
    pings = context.eventLoop.assumeIsolated().scheduleTask(deadline: due) {
      guard self.isAnswering, !self.isEnding else { return }
      if NIODeadline.now() >= self.lastWrite + self.limits.pingInterval {
        self.lastWrite = .now()
        if context.channel.isWritable {
          context.writeAndFlush(self.wrapOutboundOut(.body(Self.ping)), promise: nil)
        }
      }
      self.schedulePing(context)
    }
  }
}
