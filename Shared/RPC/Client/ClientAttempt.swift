import NIOCore

/// How an attempt ended.
enum AttemptOutcome {
  /// The server stated it.
  case status(Result<Metadata, RPCError>)
  /// The attempt was cut off, or the server broke the protocol.
  case failed(RPCError)
  /// The server's transport refused the stream: nothing there has seen the call.
  case refused(RPCError)
  /// The request never left this side.
  case unsent(RPCError)
  /// The response did not begin within the attempt's own time.
  case timedOut(RPCError)
  /// The channel refused the attempt, which is not made again.
  case dropped(RPCError)

  /// The error, if it is one.
  var error: RPCError? {
    switch self {
    case .status(.success): nil
    case .status(.failure(let error)): error
    case .failed(let error), .refused(let error), .unsent(let error), .timedOut(let error),
      .dropped(let error):
      error
    }
  }
}

/// One stream of a call on one connection.
///
/// A call has one after the other, or, when it hedges, several at once; it is bound to the one whose
/// response begins first. Nothing of an attempt outlives its call.
///
/// `@unchecked Sendable`: the variables are used on the channel's loop alone.
final class ClientAttempt: @unchecked Sendable {
  private enum Phase {
    /// Waits for a connection or one of its streams; to `open` or `over`.
    case waiting
    /// To `over`, or back to `waiting` when the connection had no stream left.
    case open(ClientConnection, Int32)
    /// Final.
    case over
  }

  let call: ClientCall
  /// Attempts of the call that the server may have seen before this one.
  let previous: Int

  private let census: Census.Entry?
  private var phase = Phase.waiting
  private var subchannel: Subchannel?
  private var deframer: MessageDeframer
  private var responses = 0
  /// Whether the server said that the call succeeded.
  private var hasSucceeded = false
  private var timer: Scheduled<Void>?
  /// Whether it stands in a queue; the channel says so.
  var isQueued = false
  /// What the server said about another attempt.
  private(set) var pushback: RetryPushback?

  init(_ call: ClientCall, previous: Int) {
    self.call = call
    self.previous = previous
    census = call.core.configuration.census?.enter(.clientAttempt)
    deframer = MessageDeframer(maxMessageBytes: call.core.configuration.maxMessageBytes)
  }

  /// Whether it has ended.
  var isOver: Bool {
    if case .over = phase { return true }
    return false
  }

  /// The server that it was given to.
  var endpoint: Endpoint? { subchannel?.endpoint }

  /// Whether it has a stream.
  var isOpen: Bool {
    if case .open = phase { return true }
    return false
  }

  // MARK: What the channel says

  /// Which endpoint the attempt counts for; nil: none any more.
  func assign(to subchannel: Subchannel?) {
    guard self.subchannel !== subchannel else { return }
    self.subchannel?.attemptEnded()
    self.subchannel = subchannel
    subchannel?.attemptBegan()
  }

  /// Sends the request's head on a new stream.
  func open(on connection: ClientConnection) {
    let fields = call.requestFields(previousAttempts: previous)
    let limit = connection.session.maxSentHeaderListBytes
    guard fields.listSize <= limit else {
      return call.fail(
        RPCError(
          .resourceExhausted,
          "metadata of \(fields.listSize) bytes, but at most \(limit) may be sent"
        )
      )
    }
    guard let stream = connection.open(self, fields) else { return call.core.admit(self) }
    phase = .open(connection, stream)
    subchannel?.counts.began(at: call.begunAt)
    connection.counts.began(at: call.begunAt)
    if let timeout = call.receiveTimeout {
      timer = call.eventLoop.scheduleTask(in: TimeAmount(timeout)) {
        let message = "\(self.call.method.path): no response began within \(timeout)"
        self.end(.timedOut(RPCError(.deadlineExceeded, message)))
      }
    }
    call.attemptOpened(self)
  }

  /// The attempt cannot be made.
  func fail(_ error: RPCError) {
    end(.failed(error))
  }

  /// The attempt is not allowed.
  func drop(_ error: RPCError) {
    end(.dropped(error))
  }

  // MARK: What the call says

  /// Sends a framed message.
  func send(_ message: [UInt8]) {
    guard case .open(let connection, let stream) = phase, !connection.isClosed else { return }
    connection.session.send(stream, message)
    connection.messages.sent += 1
  }

  /// States that no message follows.
  func finishRequests() {
    guard case .open(let connection, let stream) = phase, !connection.isClosed else { return }
    connection.session.finish(stream, trailers: [])
  }

  /// Sees to it that what was sent is on its way in this turn of the loop.
  func flush() {
    guard case .open(let connection, _) = phase else { return }
    connection.setNeedsFlush()
  }

  /// The call is bound to this attempt: its own time counts no longer.
  func committed() {
    timer?.cancel()
  }

  /// Whether it takes no more messages for now.
  var isCongested: Bool {
    guard case .open(let connection, let stream) = phase, !connection.isClosed else { return false }
    return connection.session.isCongested(stream)
  }

  /// Gives the server window back.
  func consume(_ bytes: Int) {
    guard case .open(let connection, let stream) = phase, !connection.isClosed else { return }
    connection.session.consume(stream, bytes)
    connection.setNeedsFlush()
  }

  /// Tells the channel that the endpoint did not answer in time.
  func noteTimeout() {
    if isOpen, let subchannel { call.core.note(subchannel, isSuccess: false) }
  }

  /// Ends the attempt without a word to the call.
  func cancel(_ code: HTTP2ErrorCode = .cancel) {
    let last = phase
    if isQueued, !isOver { call.core.queuedEnded() }
    phase = .over
    timer?.cancel()
    let server = subchannel
    assign(to: nil)
    guard case .open(let connection, let stream) = last else { return }
    server?.counts.ended(isSuccess: hasSucceeded)
    connection.counts.ended(isSuccess: hasSucceeded)
    guard !connection.isClosed else { return }
    connection.attemptEnded(stream)
    // A stream that is complete on both sides is gone already; then this does nothing.
    connection.session.reset(stream, code)
    connection.setNeedsFlush()
  }

  private func end(_ outcome: AttemptOutcome) {
    guard !isOver else { return }
    hasSucceeded = outcome.error == nil
    if isOpen, let subchannel {
      switch outcome {
      case .unsent, .dropped: break
      default: call.core.note(subchannel, isSuccess: outcome.error == nil)
      }
    }
    if case .status = outcome { cancel(.noError) } else { cancel() }
    call.attemptEnded(self, outcome)
  }

  // MARK: What the server says

  func received(head fields: [HeaderField], endStream: Bool, oversized: Bool) {
    if let accepted = fields.first("grpc-accept-encoding") {
      call.core.encodings.serverAccepts(accepted)
    }
    pushback = RetryPushback(fields)
    guard !oversized else { return end(.failed(call.oversizedMetadata)) }
    if endStream, let outcome = StatusWire.outcome(of: fields) { return finish(outcome) }
    let status = Int(fields.first(":status") ?? "") ?? 0
    let type = fields.first("content-type") ?? ""
    let isKnown = StatusWire.isKnown(contentType: type)
    if status == 200, isKnown == false {
      let detail = "content-type '\(type.cut(to: 100))', a codec that is not known here"
      return end(.failed(RPCError(.internal, "the server answered with \(detail)")))
    }
    if status != 200 || isKnown == nil {
      let detail = status == 200 ? "content-type '\(type.prefix(100))'" : "HTTP status \(status)"
      let code = StatusWire.code(httpStatus: status)
      return end(.failed(RPCError(code, "the server answered with \(detail)")))
    }
    if endStream { return end(.failed(call.noStatus)) }
    if let encoding = fields.first("grpc-encoding") {
      deframer = MessageDeframer(
        maxMessageBytes: call.core.configuration.maxMessageBytes,
        decoding: MessageDecoding(header: encoding)
      )
    }
    call.responseBegan(self, Metadata(fields: fields))
  }

  func received(_ bytes: [UInt8]) {
    guard case .open(let connection, let stream) = phase else { return }
    // One response may grow to its limit whether it is waited for or not: the caller may still be
    // sending requests that the server no longer reads.
    let takesAll = call.method.kind.sendsOneResponse
    if !takesAll { call.inbox.received(bytes.count) }
    do throws(RPCError) {
      try deframer.append(bytes) { message throws(RPCError) in
        responses += 1
        connection.messages.received += 1
        if takesAll, responses > 1 { throw call.notOneResponse }
        call.inbox.push(message)
      }
      connection.session.consume(stream, takesAll ? bytes.count : call.inbox.settle())
    } catch {
      end(.failed(error))
    }
  }

  func received(trailers fields: [HeaderField], oversized: Bool) {
    if oversized { return end(.failed(call.oversizedMetadata)) }
    guard let outcome = StatusWire.outcome(of: fields) else { return end(.failed(call.noStatus)) }
    finish(outcome)
  }

  func receivedEnd() {
    end(.failed(call.noStatus))
  }

  /// The stream can take more messages.
  func writable() {
    call.flushOutbox()
  }

  /// The stream is gone without a status.
  func closed(_ code: HTTP2ErrorCode) {
    let error = StatusWire.error(reset: code)
    end(code == .refusedStream ? .refused(error) : .failed(error))
  }

  /// The stream ended before its request was sent.
  func unsent() {
    end(.unsent(RPCError(.unavailable, "the connection ended before the call was sent")))
  }

  /// The connection is gone; `wasSent` when the request had begun to leave.
  func connectionLost(_ error: RPCError, wasSent: Bool) {
    end(wasSent ? .failed(error) : .unsent(error))
  }

  /// The server stated the outcome.
  private func finish(_ outcome: Result<Metadata, RPCError>) {
    if case .success(let trailing) = outcome {
      if deframer.isMidMessage {
        call.trailersCame(trailing)
        return end(.failed(RPCError(.internal, "the response ends within a message")))
      }
      if call.method.kind.sendsOneResponse, responses != 1 {
        call.trailersCame(trailing)
        return end(.failed(call.notOneResponse))
      }
    }
    end(.status(outcome))
  }
}
