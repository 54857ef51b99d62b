import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import ServiceKit

/// What one public connection needs beyond Hummingbird: on the event loop, without a task.
///
/// - fires the ``ClientWatch``es of requests when the client goes away. A client that only closes its
///   own half after whole requests still reads its answers; whether it does shows when something is
///   sent to it: a connection that is gone is reset by that. So it is sent a comment or an interim
///   answer at once, and a client that does not know those (HTTP/1.0) is taken for gone;
/// - answers a head that is not HTTP with an error body, where NIO's default is an empty one;
/// - invites a body (`Expect: 100-continue`) unless its length alone is too much;
/// - writes `: ping` into an event stream that has been silent for a while;
/// - bounds the time that a head takes to arrive, and that a client takes to read anything at all;
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
    /// Longest time from a connection's start or the last answer to the end of the next head.
    var headTime = TimeAmount.seconds(75)
    /// Longest time in which a client reads next to nothing of what there is for it.
    var stallTime = TimeAmount.seconds(120)
    /// Most bytes read of a request after its answer, so that the client gets to read that answer.
    var drainBytesMax = 64 << 20
    /// Longest time to read on after the answer.
    var drainTime = TimeAmount.seconds(30)
    /// Longest wait for the client to close after our half is closed.
    var lingerTime = TimeAmount.seconds(2)
  }

  private static let ping = ByteBuffer(string: ": ping\n\n")

  private let limits: Limits
  private let registry: OpenRequests
  private let heads = RequestHeadHandler()
  private var watches: [ObjectIdentifier: ClientWatch] = [:]
  private var isClosed = false
  /// A request's head has been read and its end has not.
  private var isReading = false
  /// Requests read whose answer is not complete.
  private var openRequests = 0
  /// The head of the current answer is out, its end is not.
  private var isAnswering = false
  /// The answer being written is an event stream.
  private var isEventStream = false
  /// The last request was read that the client wants answered here.
  private var isLastRequest = false
  /// The current answer says `connection: close`.
  private var closesAfterAnswer = false
  /// The answer to the request being read is complete.
  private var drainedBytes: Int?
  /// We end the connection; whatever the application still writes is dropped.
  private var isEnding = false
  private var lastWrite = NIODeadline.now()
  private var pings: Scheduled<Void>?
  private var closing: Scheduled<Void>?
  private var headDue: Scheduled<Void>?
  private var stall: Scheduled<Void>?

  /// A handler that keeps the requests of its connection in `registry`.
  init(limits: Limits, registry: OpenRequests) { (self.limits, self.registry) = (limits, registry) }

  func handlerAdded(context: ChannelHandlerContext) {
    let pipeline = context.pipeline.syncOperations
    do {
      let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
      try pipeline.addHandler(heads, position: .after(decoder))
    } catch {
      preconditionFailure("the pipeline has no HTTP decoder: \(error)")
    }
    if context.channel.isActive { awaitHead(context) }
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    clientClosed()
    for timer in [closing, headDue, stall] { timer?.cancel() }
    (closing, headDue, stall) = (nil, nil, nil)
  }

  func channelActive(context: ChannelHandlerContext) {
    awaitHead(context)
    context.fireChannelActive()
  }

  // MARK: - Inbound

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    // Nothing is answered after the end, nor after a request that is the client's last.
    guard !isEnding, isReading || !isLastRequest else { return }
    switch unwrapInboundIn(data) {
    case .head(let head):
      headDue?.cancel()
      isLastRequest = head.headerFields[.connection] == "close"
      isReading = true
      openRequests += 1
      drainedBytes = nil
      invite(head, context)
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
        if closesAfterAnswer { end(context) } else { awaitHead(context) }
      }
    }
    context.fireChannelRead(data)
  }

  /// Closes a connection on which no head arrives in time, however many bytes of it do.
  private func awaitHead(_ context: ChannelHandlerContext) {
    headDue?.cancel()
    headDue = context.eventLoop.assumeIsolated().scheduleTask(in: limits.headTime) {
      context.close(promise: nil)
    }
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    stall?.cancel()
    stall = nil
    if !context.channel.isWritable {
      stall = context.eventLoop.assumeIsolated().scheduleTask(in: limits.stallTime) {
        context.close(promise: nil)
      }
    }
    context.fireChannelWritabilityChanged()
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case .some(.inputClosed) = event as? ChannelEvent {
      if isEnding || !awaitsAnswer(context) {
        clientClosed()
        // In the midst of an answer, this also frees a writer that waits for the client to read.
        if isEnding || isAnswering { context.close(promise: nil) }
      }
    }
    context.fireUserInboundEventTriggered(event)
  }

  /// Whether a client that has closed its half may still read; if it does not, what is sent here has
  /// the connection reset.
  private func awaitsAnswer(_ context: ChannelHandlerContext) -> Bool {
    guard openRequests > 0, !isReading else { return false }
    if isAnswering {
      if isEventStream, context.channel.isWritable {
        context.writeAndFlush(wrapOutboundOut(.body(Self.ping)), promise: nil)
      }
      return true
    }
    guard heads.knowsInterimAnswers else { return false }
    context.writeAndFlush(wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
    return true
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
    let expected = head.headerFields[.expect]?.utf8
    guard expected?.count == 12, expected?.starts(with: "100-".utf8) == true, openRequests == 1,
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
    switch unwrapOutboundIn(data) {
    case .head(let head) where head.status.kind == .informational: break
    case .head(var head):
      isAnswering = true
      if isLastRequest, openRequests == 1 { head.headerFields[.connection] = "close" }
      closesAfterAnswer = head.headerFields[.connection] == "close"
      isEventStream = head.headerFields[.contentType]?.hasPrefix("text/event-stream") == true
      if isEventStream { schedulePing(context) }
      context.write(wrapOutboundOut(.head(head)), promise: promise)
      return
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
      if closesAfterAnswer {
        end(context)
      } else if openRequests == 0 {
        awaitHead(context)
      }
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
      registry.remove(watch)
    } else if isClosed {
      watch.fire(.clientClosed)
    } else {
      watches[ObjectIdentifier(watch)] = watch
      registry.insert(watch)
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
    headDue?.cancel()
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
