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

  /// Bytes handed to the channel in one write.
  private static let writeBytes = 64 * 1024

  let session: HTTP2Session
  let eventLoop: any EventLoop
  private(set) var context: ChannelHandlerContext?
  /// Whether the connection is gone; the session is then left alone.
  private(set) var isClosed = false
  /// What ended the connection, for messages.
  private(set) var closeReason: String?

  private var isReading = false
  private var isFlushing = false
  private var isProcessing = false
  private var isFlushScheduled = false
  private var output = ByteBuffer()

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

  /// The connection is gone.
  ///
  /// Called once.
  func connectionClosed() {}

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
    guard !isClosed, !isReading, !isFlushing, !isFlushScheduled else { return }
    isFlushScheduled = true
    eventLoop.execute { self.flush() }
  }

  /// Closes the connection, after what is ready to be sent.
  func close(reason: String) {
    eventLoop.assertInEventLoop()
    guard !isClosed, let context else { return }
    if closeReason == nil { closeReason = reason }
    flush()
    context.close(promise: nil)
  }

  private func flush() {
    isFlushScheduled = false
    guard !isFlushing, !isClosed, let context, context.channel.isActive else { return }
    isFlushing = true
    defer { isFlushing = false }
    do throws(HTTP2SessionError) {
      while !isClosed, context.channel.isWritable {
        output.clear()
        _ = try session.drain(upTo: Self.writeBytes) { output.writeBytes($0) }
        let isEmpty = output.readableBytes == 0
        if !isEmpty { context.writeAndFlush(wrapOutboundOut(output), promise: nil) }
        processEvents()
        if isEmpty { break }
      }
    } catch {
      if closeReason == nil { closeReason = error.description }
      context.close(promise: nil)
      return
    }
    guard !isClosed else { return }
    if session.isFinished, closesWhenFinished {
      if closeReason == nil, let error = session.sentError { closeReason = Self.reason(error) }
      context.close(promise: nil)
    }
  }

  private static func reason(_ error: HTTP2ErrorCode) -> String {
    // nghttp2 takes no header field of 64 KiB or more and can only end the connection over it.
    let detail = error == .compressionError ? " (or a header field above 64 KiB)" : ""
    return "the peer broke HTTP/2: \(error)\(detail)"
  }

  private func processEvents() {
    guard !isProcessing else { return }
    isProcessing = true
    defer { isProcessing = false }
    while !isClosed {
      let events = session.takeEvents()
      if events.isEmpty { return }
      for event in events where !isClosed { handle(event) }
    }
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
    isReading = true
    let buffer = unwrapInboundIn(data)
    do throws(HTTP2SessionError) {
      let now = NIODeadline.now()
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
    } catch {
      isReading = false
      close(reason: error.description)
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
    context.close(promise: nil)
  }

  func channelInactive(context: ChannelHandlerContext) {
    markClosed()
    context.fireChannelInactive()
  }

  private func markClosed() {
    guard !isClosed else { return }
    isClosed = true
    if closeReason == nil { closeReason = "the peer closed the connection" }
    connectionClosed()
  }
}
