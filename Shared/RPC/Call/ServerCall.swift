import Logging
import NIOCore

/// One call on the server: its stream, the handler's task, its deadline.
///
/// `@unchecked Sendable`: the variables are used on `eventLoop` alone; handlers on other threads
/// reach them through `inbox`, `outbox` and `onLoop`.
final class ServerCall: StreamPort, @unchecked Sendable {
  let context: ServerContext
  let eventLoop: any EventLoop
  let inbox: MessageInbox
  let outbox: MessageOutbox

  private let stream: Int32
  private let connection: ServerConnection
  private let handler: MethodHandler
  private let census: Census.Entry?
  private let startedAt: NIODeadline
  private var deframer: MessageDeframer
  /// What the client sent as `grpc-accept-encoding`.
  private let acceptedEncodings: String?
  /// Whether the client may be told which encodings are taken here: it compresses.
  private let tellsEncodings: Bool
  /// The request of a method that takes exactly one.
  private var request: ReceivedMessage?
  /// What the call's metadata takes.
  private let metadataBytes: Int
  /// Bytes of metadata, `deframer` and `request` that the connection's budget counts.
  private var heldBytes = 0
  private var task: Task<Void, Never>?
  private var timer: Scheduled<Void>?
  private var hasSentHead = false
  /// What the call counts for in the server's limits, until it and its handler are over.
  private var permit: CallPermit?
  private var isHandlerRunning = false
  /// Whether the single request that the method takes is not complete.
  private var awaitsRequest = false
  /// Whether the status was sent or the stream is gone.
  private(set) var isOver = false

  init(
    stream: Int32,
    connection: ServerConnection,
    handler: MethodHandler,
    context: ServerContext,
    decoding: MessageDecoding = .none,
    acceptedEncodings: String? = nil,
    permit: CallPermit? = nil,
    metadataBytes: Int = 0
  ) {
    let configuration = connection.core.configuration
    self.stream = stream
    self.connection = connection
    self.handler = handler
    census = configuration.census?.enter(.serverCall)
    self.context = context
    self.permit = permit
    self.metadataBytes = metadataBytes
    eventLoop = connection.eventLoop
    startedAt = eventLoop.now
    inbox = MessageInbox(
      windowBytes: configuration.streamWindowBytes,
      maxMessageBytes: configuration.maxMessageBytes,
      budget: connection.requestBudget
    )
    outbox = MessageOutbox(highBytes: configuration.writeBufferBytes)
    deframer = MessageDeframer(
      maxMessageBytes: configuration.maxMessageBytes,
      decoding: decoding
    )
    self.acceptedEncodings = acceptedEncodings
    tellsEncodings = decoding != .none
  }

  // MARK: What the connection says

  /// The head arrived: a method that streams requests starts, others wait for the request.
  func start() {
    if let deadline = context.deadline {
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

  func received(_ bytes: [UInt8]) {
    guard !isOver else { return }
    inbox.received(bytes.count)
    do throws(RPCError) {
      if handler.descriptor.kind.sendsOneRequest {
        try deframer.append(bytes) { message throws(RPCError) in
          guard request == nil else { throw Self.notOneRequest }
          request = message
        }
        // The handler has not begun: the request may grow to its limit.
        connection.session.consume(stream, bytes.count)
      } else {
        try deframer.append(bytes) { message in inbox.push(message) }
        connection.session.consume(stream, inbox.settle())
      }
      countHeld()
      guard !connection.requestBudget.isExceeded else {
        throw RPCError(.resourceExhausted, "too many bytes of requests wait on this connection")
      }
    } catch {
      fail(error)
    }
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
    guard handler.descriptor.kind.sendsOneRequest else { return inbox.finish(nil) }
    guard request != nil else { return fail(Self.notOneRequest) }
    launch()
  }

  /// The peer has reset the stream, or the connection is gone.
  func lost(_ error: RPCError) {
    guard !isOver else { return }
    end(error)
    connection.callEnded(stream, method: handler.descriptor, error: error, since: startedAt)
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
    let (messages, _) = outbox.take()
    guard !isOver, !connection.isClosed else { return }
    // The client may have reset the stream with the request itself: that event waits for the handler's first
    // suspension, and what is written to a stream that is gone never makes a writer suspend.
    guard connection.session.isLive(stream) else {
      return lost(RPCError(.cancelled, "the client has reset the stream"))
    }
    for message in messages {
      guard !connection.hasUnreadLimitReached else {
        return fail(ServerConnection.tooMuchUnread)
      }
      sendHead()
      guard !isOver else { return }
      connection.session.send(stream, message)
    }
    outbox.setBlocked(connection.session.isCongested(stream))
    if !messages.isEmpty { connection.setNeedsFlush() }
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
    context.response.requestWasCompressed = message.isCompressed
    countHeld()
    return try I(slice: message.plain(maxBytes: connection.core.configuration.maxMessageBytes))
  }

  /// Sends the response of a method that gives exactly one.
  func respond(_ message: some RPCMessage) async throws(RPCError) {
    try await outbox.write(frame(message), for: self)
  }

  /// The response as it goes out; on any thread.
  ///
  /// With `compressed` it is compressed if the handler asked for that and the client takes it.
  func frame(_ message: some RPCMessage, compressed: Bool = true) throws(RPCError) -> [UInt8] {
    let encoding = context.response.encoding(acceptedBy: acceptedEncodings)
    return try MessageFraming.frame(message, compressed ? encoding : .identity)
  }

  private func launch() {
    setAwaitsRequest(false)
    isHandlerRunning = true
    connection.handlerStarted()
    task = Self.spawn(self, executor: connection.executor)
    // The handler runs until its first suspension before `spawn` returns: it may be through, or
    // have done what ended the call and still run.
    if isOver {
      task?.cancel()
      task = nil
    }
  }

  /// Nonisolated, so that the task does not inherit an actor from the caller.
  private static func spawn(_ call: ServerCall, executor: LoopExecutor) -> Task<Void, Never> {
    Task.immediate(executorPreference: executor) {
      let error = await call.runHandler()
      call.onLoop {
        call.finish(error)
        call.isHandlerRunning = false
        call.releasePermit()
        call.connection.handlerEnded()
      }
    }
  }

  private func runHandler() async -> RPCError? {
    do {
      try await Deadline.$current.withValue(context.deadline) {
        try await handler.run(self)
      }
      return nil
    } catch let error as RPCError {
      return error
    } catch is CancellationError {
      if context.deadline?.hasPassed(on: eventLoop) == true { return Self.deadlineExceeded }
      return RPCError(.cancelled, "the call was cancelled")
    } catch {
      connection.core.logger.error(
        "handler failed",
        metadata: ["method": "\(context.method.path)", "error": "\(error)"]
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
      connection.callEnded(stream, method: handler.descriptor, error: error, since: startedAt)
    } else {
      respondStatus(error)
    }
  }

  private func respondStatus(_ error: RPCError?) {
    guard !connection.isClosed else { return }
    let session = connection.session
    if error == nil, !hasSentHead, !context.initialMetadata.isEmpty { sendHead() }
    guard !isOver else { return }
    var fields = hasSentHead ? [] : ServerConnection.responseHead
    StatusWire.append(
      error,
      trailing: context.trailingMetadata,
      to: &fields,
      maxListBytes: session.maxSentHeaderListBytes
    )
    if hasSentHead {
      session.finish(stream, trailers: fields)
    } else {
      session.submitResponse(stream, fields, endStream: true)
    }
    connection.setNeedsFlush()
    end(error)
    connection.callEnded(stream, method: handler.descriptor, error: error, since: startedAt)
  }

  private func sendHead() {
    guard !hasSentHead else { return }
    var fields = ServerConnection.responseHead
    appendEncodings(to: &fields)
    do throws(RPCError) {
      try context.initialMetadata.append(to: &fields)
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
    let encoding = context.response.encoding(acceptedBy: acceptedEncodings)
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
    countHeld()
    let error = error ?? RPCError(.cancelled, "the call has ended")
    inbox.fail(error)
    outbox.close(error)
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
