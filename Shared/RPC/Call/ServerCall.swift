import Logging
import NIOCore

/// One call on the server: its stream, the handler's task, its deadline.
///
/// `@unchecked Sendable`: the variables are used on `eventLoop` alone; handlers on other threads
/// reach them through `inbox`, `responses` and `onLoop`.
final class ServerCall: ResponseMetadata, StreamPort, StreamOwned, @unchecked Sendable {
  let metadata: Metadata
  let deadline: Deadline?
  let eventLoop: any EventLoop
  let stream: Int32

  /// Exists where the client streams.
  private let requests: MessageInbox?
  /// Exists where the handler streams.
  private let responses: MessageOutbox?
  private let connection: ServerConnection
  private let handler: MethodHandler
  private let census: Census.Entry?
  private let startedAt: NIODeadline
  @exclusivity(unchecked) private var deframer: MessageDeframer
  /// What the client sent as `grpc-accept-encoding`.
  private let acceptedEncodings: String?
  /// Whether the client may be told which encodings are taken here: it compresses.
  private let tellsEncodings: Bool
  /// The request of a method that takes exactly one.
  @exclusivity(unchecked) private var request: ReceivedMessage?
  /// What the call's metadata takes.
  private let metadataBytes: Int
  /// Bytes of metadata, `deframer` and `request` that the connection's budget counts.
  @exclusivity(unchecked) private var heldBytes = 0
  @exclusivity(unchecked) private var task: Task<Void, Never>?
  /// Whether the handler was called.
  @exclusivity(unchecked) private var isLaunched = false
  /// Whether the handler has returned or thrown.
  @exclusivity(unchecked) private var isHandlerDone = false
  /// Why the call is over.
  @exclusivity(unchecked) private var endError: RPCError?
  @exclusivity(unchecked) private var timer: Scheduled<Void>?
  @exclusivity(unchecked) private var hasSentHead = false
  /// What the call counts for in the server's limits, until it and its handler are over.
  @exclusivity(unchecked) private var permit: CallPermit?
  @exclusivity(unchecked) private var isHandlerRunning = false
  /// Whether the single request that the method takes is not complete.
  @exclusivity(unchecked) private var awaitsRequest = false
  /// Whether the status was sent or the stream is gone.
  @exclusivity(unchecked) private(set) var isOver = false

  init(
    stream: Int32,
    connection: ServerConnection,
    handler: MethodHandler,
    metadata: Metadata,
    deadline: Deadline?,
    decoding: MessageDecoding = .none,
    acceptedEncodings: String? = nil,
    permit: CallPermit? = nil,
    metadataBytes: Int = 0
  ) {
    let limits = connection.callLimits
    self.stream = stream
    self.connection = connection
    self.handler = handler
    census = connection.core.configuration.census?.enter(.serverCall)
    self.metadata = metadata
    self.deadline = deadline
    self.permit = permit
    self.metadataBytes = metadataBytes
    eventLoop = connection.eventLoop
    startedAt = connection.lastRead
    let kind = handler.descriptor.kind
    requests =
      kind.sendsOneRequest
      ? nil
      : MessageInbox(
        windowBytes: limits.windowBytes,
        maxMessageBytes: limits.messageBytesMax,
        budget: connection.requestBudget
      )
    responses =
      kind.sendsOneResponse ? nil : MessageOutbox(highBytes: limits.writeBufferBytes)
    deframer = MessageDeframer(
      maxMessageBytes: limits.messageBytesMax,
      decoding: decoding
    )
    self.acceptedEncodings = acceptedEncodings
    tellsEncodings = decoding != .none
  }

  var method: MethodDescriptor { handler.descriptor }
  var remoteAddress: String { connection.remoteAddress }
  var peer: PeerIdentity? { connection.peer }

  /// The requests of a method of which clients may send several.
  var inbox: MessageInbox {
    guard let requests else { preconditionFailure("RPC call: its method takes one request") }
    return requests
  }

  // MARK: What the connection says

  /// The head arrived: a method that streams requests starts, others wait for the request.
  func start() {
    countHeld()
    guard !connection.requestBudget.isExceeded else { return fail(Self.tooMuchHeld) }
    if let deadline {
      guard !deadline.hasPassed(on: eventLoop) else { return fail(Self.deadlineExceeded) }
      timer = eventLoop.scheduleTask(deadline: deadline.instant) {
        self.fail(Self.deadlineExceeded)
      }
    }
    guard handler.descriptor.kind.sendsOneRequest else { return launch() }
    setAwaitsRequest(true)
  }

  /// Tells the connection, which bounds the time of all such calls with one timer.
  private func setAwaitsRequest(_ awaits: Bool) {
    guard awaits != awaitsRequest else { return }
    awaitsRequest = awaits
    connection.halfRequestsChanged(by: awaits ? 1 : -1)
  }

  /// Fails the call if its request began before `start` and is not complete.
  func expireRequest(begunBefore start: NIODeadline) {
    guard awaitsRequest, startedAt < start else { return }
    fail(RPCError(.deadlineExceeded, "the request is not complete in time"))
  }

  /// Takes DATA, which lies in a buffer that the connection's streams share.
  func received(_ bytes: ArraySlice<UInt8>) {
    guard !isOver else { return }
    do throws(RPCError) {
      if let requests {
        requests.received(bytes.count)
        // What waits for the handler must not hold on to the shared buffer.
        try deframer.append(Array(bytes)) { message in
          connection.messages.received += 1
          requests.push(message)
        }
        connection.session.consume(stream, requests.settle())
      } else {
        try deframer.append(bytes) { message throws(RPCError) in
          guard request == nil else { throw Self.notOneRequest }
          request = message
          connection.messages.received += 1
          connection.requestWaits(self)
        }
        // The handler has not begun: the request may grow to its limit.
        connection.session.consume(stream, bytes.count)
      }
      countHeld()
      guard !connection.requestBudget.isExceeded else {
        throw Self.tooMuchHeld
      }
    } catch {
      fail(error)
    }
  }

  /// Copies a request whose handler has not begun, out of the buffer that streams share.
  func keepRequest() {
    guard let request, !isOver else { return }
    self.request = request.copied
  }

  /// Tells the connection's budget what is held outside the inbox.
  private func countHeld() {
    let now = (isOver ? 0 : metadataBytes) + deframer.partialBytes + (request?.bytes.count ?? 0)
    connection.requestBudget.add(now - heldBytes)
    heldBytes = now
  }

  func receivedEnd() {
    guard !isOver else { return }
    guard !deframer.isMidMessage else {
      return fail(RPCError(.internal, "the request ends within a message"))
    }
    if let requests { return requests.finish(nil) }
    guard request != nil else { return fail(Self.notOneRequest) }
    launch()
  }

  /// The peer has reset the stream, or the connection is gone.
  func lost(_ error: RPCError) {
    guard !isOver else { return }
    end(error)
    tellEnd(error)
  }

  func becameWritable() {
    flushOutbox()
  }

  // MARK: StreamPort

  func giveBack(_ bytes: Int) {
    guard !isOver, !connection.isClosed else { return }
    connection.session.consume(stream, bytes)
    connection.setNeedsFlush()
  }

  func flushOutbox() {
    eventLoop.assertInEventLoop()
    guard let responses else { return }
    let (messages, _) = responses.take()
    guard !isOver, !connection.isClosed else { return }
    for message in messages {
      guard prepareToSend() else { return }
      connection.session.send(stream, message)
      connection.messages.sent += 1
    }
    responses.setBlocked(connection.session.isCongested(stream))
    if !messages.isEmpty { connection.setNeedsFlush() }
  }

  /// Sends the head if it was not yet; false when the call has ended over that.
  private func prepareToSend() -> Bool {
    // The client may have reset the stream with the request itself: that event waits for the handler's first
    // suspension, and what is written to a stream that is gone never makes a writer suspend.
    guard connection.session.isLive(stream) else {
      lost(RPCError(.cancelled, "the client has reset the stream"))
      return false
    }
    guard !connection.hasUnreadLimitReached else {
      fail(ServerConnection.tooMuchUnread)
      return false
    }
    sendHead()
    return !isOver
  }

  func taskCancelled() {}

  // MARK: What the handler says

  /// The request of a method that takes exactly one; once, on the loop.
  ///
  /// The bytes are let go with it: the handler may run for long.
  func singleRequest<I: RPCMessage>(_ type: I.Type) throws(RPCError) -> I {
    eventLoop.assertInEventLoop()
    guard let message = request else {
      throw isOver ? RPCError(.cancelled, "the call is over") : Self.notOneRequest
    }
    request = nil
    requestWasCompressed = message.isCompressed
    countHeld()
    return try I(slice: message.plain(maxBytes: connection.callLimits.messageBytesMax))
  }

  /// Sends the response of a method that gives exactly one.
  func respond(_ message: some RPCMessage) async throws(RPCError) {
    if eventLoop.inEventLoop { return try send(message) }
    let bytes = try MessageFraming.frame(message, encoding)
    eventLoop.execute {
      guard !self.isOver, !self.connection.isClosed, self.prepareToSend() else { return }
      self.connection.session.send(self.stream, bytes)
      self.connection.messages.sent += 1
      self.connection.setNeedsFlush()
    }
  }

  /// Sends one of several responses; compressed, if the handler asked for that, the client takes it
  /// and `compressed` is true.
  ///
  /// On the loop, and while there is room, it is written straight to where the session reads it.
  func write(_ message: some RPCMessage, compressed: Bool) async throws(RPCError) {
    guard let responses else { preconditionFailure("RPC call: its method gives one response") }
    if eventLoop.inEventLoop, responses.isEmpty, isOver || !connection.session.isCongested(stream) {
      return try send(message, compressed: compressed)
    }
    let bytes = try MessageFraming.frame(message, compressed ? encoding : .identity)
    try await responses.write(bytes, for: self)
  }

  private func send(_ message: some RPCMessage, compressed: Bool = true) throws(RPCError) {
    guard !isOver, !connection.isClosed else {
      throw endError ?? RPCError(.cancelled, "write: the call is over")
    }
    // A call that ends over this message cancels its handler.
    guard prepareToSend() else { return }
    let encoding = compressed ? encoding : .identity
    try connection.session.send(stream) { output throws(RPCError) in
      try MessageFraming.append(message, encoding, to: &output)
    }
    connection.messages.sent += 1
    responses?.setBlocked(connection.session.isCongested(stream))
    connection.setNeedsFlush()
  }

  /// How messages are compressed, which from now on stays; on any thread.
  private var encoding: MessageEncoding {
    encoding(acceptedBy: acceptedEncodings)
  }

  private func launch() {
    setAwaitsRequest(false)
    isLaunched = true
    isHandlerRunning = true
    connection.handlerStarted()
    task = connection.workers.run(self)
    // The handler runs until its first suspension before `run` returns: it may be through, and its
    // task serve other calls, or have done what ended the call and still run.
    if isHandlerDone {
      task = nil
    } else if isOver {
      task?.cancel()
      task = nil
    }
  }

  /// Runs the handler; in the task that `launch` asked for.
  func runHandler() async {
    let error = await handlerError()
    // The task's executor is the loop.
    eventLoop.assertInEventLoop()
    isHandlerDone = true
    task = nil
    finish(error)
    isHandlerRunning = false
    releasePermit()
    connection.handlerEnded()
  }

  private func handlerError() async -> RPCError? {
    do {
      // The task has no deadline of its own: without one there is none to hide either.
      guard let deadline else {
        try await handler.run(self)
        return nil
      }
      try await Deadline.$current.withValue(deadline) {
        try await handler.run(self)
      }
      return nil
    } catch let error as RPCError {
      return error
    } catch is CancellationError {
      if deadline?.hasPassed(on: eventLoop) == true { return Self.deadlineExceeded }
      return RPCError(.cancelled, "the call was cancelled")
    } catch {
      connection.core.logger.error(
        "handler failed",
        metadata: ["method": "\(method.path)", "error": "\(error)"]
      )
      return RPCError(.unknown, "the handler failed", cause: error)
    }
  }

  // MARK: The end

  private func finish(_ error: RPCError?) {
    flushOutbox()
    guard !isOver else { return }
    respondStatus(error)
  }

  /// Ends the call from this side, whatever the handler does.
  func fail(_ error: RPCError) {
    eventLoop.assertInEventLoop()
    guard !isOver else { return }
    if connection.session.pendingBytes(stream) > 0 {
      // A status would wait behind messages that the client does not read.
      let code: HTTP2ErrorCode = error.code == .resourceExhausted ? .enhanceYourCalm : .cancel
      connection.session.reset(stream, code)
      connection.setNeedsFlush()
      end(error)
      tellEnd(error)
    } else {
      respondStatus(error)
    }
  }

  private func respondStatus(_ error: RPCError?) {
    guard !connection.isClosed else { return }
    let session = connection.session
    // An error alone goes out without a head: with one, clients could not try again (gRFC A6).
    if error == nil, !hasSentHead, !initial.isEmpty { sendHead() }
    guard !isOver else { return }
    let trailing = self.trailing
    if error == nil, hasSentHead, trailing.isEmpty {
      session.finishOK(stream)
      return ended(nil)
    }
    var fields = hasSentHead ? [] : ServerConnection.responseHead
    StatusWire.append(
      error,
      trailing: trailing,
      to: &fields,
      maxListBytes: session.maxSentHeaderListBytes
    )
    if hasSentHead {
      session.finish(stream, trailers: fields)
    } else {
      session.submitResponse(stream, fields, endStream: true)
    }
    ended(error)
  }

  private func ended(_ error: RPCError?) {
    connection.setNeedsFlush()
    end(error)
    tellEnd(error)
  }

  private func tellEnd(_ error: RPCError?) {
    connection.callEnded(
      stream,
      method: handler.descriptor,
      error: error,
      since: startedAt,
      reachedHandler: isLaunched
    )
  }

  private func sendHead() {
    guard !hasSentHead else { return }
    let metadata = initial
    if metadata.isEmpty, !tellsEncodings, encoding == .identity {
      hasSentHead = true
      return connection.session.submitResponseHead(stream)
    }
    var fields = ServerConnection.responseHead
    appendEncodings(to: &fields)
    do throws(RPCError) {
      try metadata.append(to: &fields)
      let limit = connection.session.maxSentHeaderListBytes
      guard fields.listSize <= limit else {
        throw RPCError(.resourceExhausted, "initial metadata is larger than \(limit) bytes")
      }
      hasSentHead = true
      connection.session.submitResponse(stream, fields, endStream: false)
    } catch {
      respondStatus(error)
    }
  }

  private func appendEncodings(to fields: inout [HeaderField]) {
    let encoding = encoding
    if encoding != .identity { fields.append(HeaderField("grpc-encoding", encoding.rawValue)) }
    if tellsEncodings {
      fields.append(HeaderField("grpc-accept-encoding", MessageEncoding.accepted))
    }
  }

  private func end(_ error: RPCError?) {
    isOver = true
    timer?.cancel()
    timer = nil
    request = nil
    deframer = MessageDeframer(maxMessageBytes: 0)
    if heldBytes > 0 { countHeld() }
    let error = error ?? Self.hasEnded
    endError = error
    requests?.fail(error)
    responses?.close(error)
    task?.cancel()
    task = nil
    setAwaitsRequest(false)
    releasePermit()
  }

  private func releasePermit() {
    guard isOver, !isHandlerRunning else { return }
    permit?.release()
    permit = nil
  }

  private static let tooMuchHeld = RPCError(
    .resourceExhausted,
    "too many bytes of requests wait on this connection"
  )
  private static let hasEnded = RPCError(.cancelled, "the call has ended")
  private static let deadlineExceeded = RPCError(
    .deadlineExceeded,
    "the deadline passed before the call ended"
  )
  /// gRPC's statuscodes.md: a cardinality violation.
  private static let notOneRequest = RPCError(
    .unimplemented,
    "the method takes exactly one request"
  )
}
