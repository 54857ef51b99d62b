import NIOCore

/// A channel handler that feeds an `HTTP2Session` from a socket and writes what it has to send.
///
/// Bytes of one loop turn lead to one write and flush: at `channelReadComplete`, or in a task that
/// is scheduled once per turn. Subclasses act on the events.
///
/// `@unchecked Sendable`: every member is used on `eventLoop` alone, which debug builds check.
class HTTP2Connection: ChannelInboundHandler, @unchecked Sendable {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  /// The longest wait for the peer to take the last bytes and close its side.
  private static let lingerTimeout = TimeAmount.seconds(5)
  /// The same for a peer that broke a rule.
  private static let errorLingerTimeout = TimeAmount.seconds(1)
  /// Bytes handed to the channel in one write.
  private static let writeBytes = 64 * 1024

  let session: HTTP2Session
  let eventLoop: any EventLoop
  let entityID = EntityID.next()
  /// Calls of its streams.
  @exclusivity(unchecked) var counts = CallCounts()
  @exclusivity(unchecked) var messages = MessageCounts()
  /// PINGs that asked the peer for a sign of life.
  var keepalivesSent = 0
  @exclusivity(unchecked) private(set) var context: ChannelHandlerContext?
  /// Whether the connection is gone; the session is then left alone.
  @exclusivity(unchecked) private(set) var isClosed = false
  /// What ended the connection, for messages.
  private(set) var closeReason: String?

  @exclusivity(unchecked) private var isReading = false
  @exclusivity(unchecked) private var isFlushing = false
  @exclusivity(unchecked) private var isProcessing = false
  @exclusivity(unchecked) private var isFlushScheduled = false
  /// Whether the rest of a long flush waits for its turn.
  @exclusivity(unchecked) private var awaitsTurn = false
  /// Whether the socket is being closed: nothing more is read or sent.
  @exclusivity(unchecked) private var isEnding = false
  private var lingerTimer: Scheduled<Void>?
  @exclusivity(unchecked) private var output = ByteBuffer()
  /// Bytes handed to the socket's channel so far, which may hold some of them.
  private(set) var writtenBytes: UInt64 = 0

  init(
    role: HTTP2Session.Role,
    limits: HTTP2SessionLimits,
    eventLoop: any EventLoop
  )
    throws(HTTP2SessionError)
  {
    session = try HTTP2Session(role: role, limits: limits)
    self.eventLoop = eventLoop
  }

  // MARK: For subclasses

  /// Acts on one event.
  func handle(_ event: HTTP2Event) {}

  /// Events are about to be handled.
  func eventsBegin() {}

  /// Every event so far was acted on; the bytes of DATA that came with them are let go of.
  func eventsHandled() {}

  /// The connection is gone.
  ///
  /// Called once.
  func connectionClosed() {}

  /// The connection reads and sends nothing more; its socket may linger for a while.
  ///
  /// Called at most once, before `connectionClosed` or not at all.
  func connectionEnding() {}

  /// Whether a peer that broke a rule gets the time to read why.
  ///
  /// Without it, a close while the peer's bytes are unread resets the connection, and the GOAWAY
  /// is lost with what else the peer's system has not handed over.
  var lingersAfterError: Bool { false }

  /// What was ready is sent, as far as the peer takes it.
  ///
  /// Called at the end of each turn of the loop in which there was anything to do.
  func flushed() {}

  /// The socket is connected, and with TLS the handshake is next.
  func connectionActive() {}

  /// Bytes came from the peer.
  func bytesArrived(at now: NIODeadline) {}

  /// Whether a session with nothing left to do closes the connection.
  var closesWhenFinished: Bool { true }

  /// What an event of a handler nearer to the socket means (TLS).
  func userEvent(_ event: Any) {}

  // MARK: Output

  /// Sees to it that what the session has to send is sent in this turn of the loop.
  func setNeedsFlush() {
    eventLoop.assertInEventLoop()
    guard !isClosed, !isEnding, !isReading, !isFlushing, !isFlushScheduled, !awaitsTurn
    else { return }
    isFlushScheduled = true
    eventLoop.execute { self.flush() }
  }

  /// Closes the connection, after what is ready to be sent.
  func close(reason: String) {
    eventLoop.assertInEventLoop()
    guard !isClosed, let context else { return }
    if closeReason == nil { closeReason = reason }
    flush()
    beginEnd()
    context.close(promise: nil)
  }

  /// From now on nothing is read or sent; TLS may take its time to close the socket.
  private func beginEnd() {
    guard !isEnding else { return }
    isEnding = true
    if !isClosed { connectionEnding() }
  }

  private func flush() {
    isFlushScheduled = false
    guard !isFlushing, !isClosed, !isEnding, let context, context.channel.isActive else { return }
    isFlushing = true
    defer { isFlushing = false }
    var turnEnd: NIODeadline?
    do throws(HTTP2SessionError) {
      while !isClosed, !isEnding, context.channel.isWritable {
        // The clock is asked only where one write was not enough.
        if let turnEnd, eventLoop.now > turnEnd {
          goOnLater()
          break
        }
        output.clear()
        _ = try session.drain(upTo: Self.writeBytes) { output.writeBytes($0) }
        let isEmpty = output.readableBytes == 0
        if !isEmpty {
          writtenBytes &+= UInt64(output.readableBytes)
          context.writeAndFlush(wrapOutboundOut(output), promise: nil)
          if turnEnd == nil { turnEnd = eventLoop.now + LoopTurns.workMax }
        }
        // An event may have led to more to send, even one of a turn that sent nothing.
        let hasActed = processEvents()
        if isEmpty, !hasActed { break }
      }
    } catch {
      if closeReason == nil { closeReason = error.description }
      beginEnd()
      context.close(promise: nil)
      return
    }
    guard !isClosed, !isEnding else { return }
    flushed()
    if session.isFinished, closesWhenFinished { end(context) }
  }

  /// Sends the rest after the loop has seen to its sockets.
  private func goOnLater() {
    guard !awaitsTurn else { return }
    awaitsTurn = true
    LoopTurns.of(eventLoop).later {
      self.awaitsTurn = false
      self.flush()
    }
  }

  /// Closes the connection because of what the peer did, after what is ready to be sent.
  func giveUp(reason: String) {
    eventLoop.assertInEventLoop()
    guard !isClosed, !isEnding else { return }
    guard lingersAfterError else { return close(reason: reason) }
    if closeReason == nil { closeReason = reason }
    flush()
    if !isClosed, !isEnding, let context { end(context) }
  }

  /// Closes the connection of a session that has nothing left to do.
  private func end(_ context: ChannelHandlerContext) {
    let error = session.sentError
    if let error, closeReason == nil { closeReason = session.violation ?? Self.reason(error) }
    beginEnd()
    if error != nil, !lingersAfterError { return context.close(promise: nil) }
    // The session is through, the socket may not be: to close it now would drop what it has not
    // sent, and, if the peer still sends, even what the peer has not read.
    context.close(mode: .output, promise: nil)
    let timeout = closeReason == nil ? Self.lingerTimeout : Self.errorLingerTimeout
    lingerTimer = eventLoop.scheduleTask(in: timeout) {
      self.context?.close(promise: nil)
    }
  }

  private static func reason(_ error: HTTP2ErrorCode) -> String {
    // nghttp2 takes no header field of 64 KiB or more and can only end the connection over it.
    let detail = error == .compressionError ? " (or a header field above 64 KiB)" : ""
    return "the peer broke HTTP/2: \(error)\(detail)"
  }

  /// Acts on what the session tells; returns whether there was anything.
  @discardableResult
  private func processEvents() -> Bool {
    guard !isProcessing else { return false }
    isProcessing = true
    defer { isProcessing = false }
    var hasActed = false
    while !isClosed {
      let events = session.takeEvents()
      if events.isEmpty { break }
      hasActed = true
      eventsBegin()
      for event in events where !isClosed { handle(event) }
      eventsHandled()
    }
    return hasActed
  }

  // MARK: ChannelInboundHandler

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    if context.channel.isActive { activate() }
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    markClosed()
    self.context = nil
  }

  func channelActive(context: ChannelHandlerContext) {
    activate()
    context.fireChannelActive()
  }

  private func activate() {
    connectionActive()
    flush()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    // A session that failed must not be fed, and TLS may read on while it closes.
    guard !isEnding else { return }
    isReading = true
    let buffer = unwrapInboundIn(data)
    do throws(HTTP2SessionError) {
      let now = eventLoop.now
      bytesArrived(at: now)
      let result = buffer.withUnsafeReadableBytes { bytes -> HTTP2SessionError? in
        do throws(HTTP2SessionError) {
          try session.receive(bytes, at: now.uptimeNanoseconds)
          return nil
        } catch {
          return error
        }
      }
      processEvents()
      if let result { throw result }
      if let violation = session.violation {
        // Not only after the GOAWAY is sent: the peer may not read.
        isReading = false
        giveUp(reason: violation)
      }
    } catch {
      isReading = false
      giveUp(reason: error.description)
    }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    isReading = false
    flush()
    context.fireChannelReadComplete()
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    if context.channel.isWritable { setNeedsFlush() }
    context.fireChannelWritabilityChanged()
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    userEvent(event)
    context.fireUserInboundEventTriggered(event)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    if closeReason == nil { closeReason = "\(error)" }
    beginEnd()
    context.close(promise: nil)
  }

  func channelInactive(context: ChannelHandlerContext) {
    markClosed()
    context.fireChannelInactive()
  }

  private func markClosed() {
    guard !isClosed else { return }
    isClosed = true
    lingerTimer?.cancel()
    if closeReason == nil { closeReason = "the peer closed the connection" }
    connectionClosed()
  }
}
