import NIOCore
import Synchronization

/// One call on the client: its stream, its deadline, what it received.
///
/// `@unchecked Sendable`: the variables are used on `eventLoop` alone; tasks on other threads reach
/// them through `inbox`, `outbox` and `onLoop`.
final class ClientCall: StreamPort, @unchecked Sendable {
  private enum Phase {
    /// Waits for a connection or one of its streams; to `open`.
    case waiting
    /// To `over`, or back to `waiting` when the server refused the stream unseen.
    case open(ClientConnection, Int32)
    /// The outcome is known.
    case over
  }

  /// Streams a call may use: the second when the server surely did not see the first.
  private static let maxAttempts = 2
  /// The wait before the second, in milliseconds: a server at its limit of streams needs a moment to count one less.
  private static let retryDelay: ClosedRange<Int64> = 5...25
  /// What is kept to send again on another stream.
  private static let replayBytes = 64 * 1024

  let eventLoop: any EventLoop
  let inbox: MessageInbox
  let outbox: MessageOutbox
  let waitsForConnection: Bool

  private let core: ChannelCore
  private let method: MethodDescriptor
  private let userFields: [HeaderField]
  private let deadline: Deadline?
  private let readyDeadline: Deadline?
  private let metadata = Mutex<(initial: Metadata?, trailing: Metadata?)>((nil, nil))

  private var phase = Phase.waiting
  private var attempts = 0
  /// Messages sent so far, while the call may be sent again; nil once it may not.
  private var replay: [[UInt8]]? = []
  private var replayCount = 0
  private var hasEndedRequests = false
  private var deframer: MessageDeframer
  private var responses = 0
  private var hasHead = false
  private var deadlineTimer: Scheduled<Void>?
  private var readyTimer: Scheduled<Void>?
  private var retryTimer: Scheduled<Void>?

  /// Throws for metadata that cannot be sent.
  init(core: ChannelCore, method: MethodDescriptor, options: CallOptions) throws(RPCError) {
    var fields: [HeaderField] = []
    try options.metadata.append(to: &fields)
    userFields = fields
    self.core = core
    self.method = method
    eventLoop = core.eventLoop
    let loop = core.eventLoop
    let own = options.timeout.map { Deadline.after($0, on: loop) }
    deadline = [own, Deadline.current].compactMap { $0 }.min()
    readyDeadline = options.readyTimeout.map { .after($0, on: loop) }
    waitsForConnection = options.readyTimeout != nil
    inbox = MessageInbox(windowBytes: core.configuration.streamWindowBytes)
    outbox = MessageOutbox(highBytes: core.configuration.writeBufferBytes)
    deframer = MessageDeframer(maxMessageBytes: core.configuration.maxMessageBytes)
  }

  /// The metadata that came before the first response; nil until then.
  var initialMetadata: Metadata? { metadata.withLock { $0.initial } }
  /// The metadata that came with the status; nil until then.
  var trailingMetadata: Metadata? { metadata.withLock { $0.trailing } }

  // MARK: What the caller says

  /// Begins the call.
  ///
  /// On any thread, once.
  func start() {
    onLoop { self.begin() }
  }

  /// Gives the call up; without effect when it is over.
  ///
  /// On any thread.
  func cancel() {
    onLoop { self.fail(RPCError(.cancelled, "the call was cancelled")) }
  }

  /// Gives the call up because its requests could not be produced.
  func abandon(_ error: any Error) {
    onLoop { self.fail(RPCError(.cancelled, "the requests could not be produced", cause: error)) }
  }

  func taskCancelled() {
    cancel()
  }

  private func begin() {
    guard !isOver else { return }
    if let deadline {
      guard !deadline.hasPassed(on: eventLoop) else { return fail(deadlineExceeded) }
      deadlineTimer = eventLoop.scheduleTask(deadline: deadline.instant) {
        self.fail(self.deadlineExceeded)
      }
    }
    askForStream()
  }

  private func askForStream() {
    guard !isOver else { return }
    core.admit(self)
    if case .waiting = phase, let readyDeadline {
      readyTimer?.cancel()
      readyTimer = eventLoop.scheduleTask(deadline: readyDeadline.instant) {
        if case .waiting = self.phase { self.fail(self.core.noConnection()) }
      }
    }
  }

  // MARK: What the channel says

  /// Whether the outcome is known.
  var isOver: Bool {
    if case .over = phase { return true }
    return false
  }

  /// Sends the request's head on a new stream.
  func open(on connection: ClientConnection) {
    let fields = requestFields()
    let limit = connection.session.maxSentHeaderListBytes
    guard fields.listSize <= limit else {
      return fail(
        RPCError(
          .resourceExhausted,
          "metadata of \(fields.listSize) bytes, but at most \(limit) may be sent"
        )
      )
    }
    guard let stream = connection.open(self, fields) else { return core.admit(self) }
    attempts += 1
    phase = .open(connection, stream)
    readyTimer?.cancel()
    for message in replay ?? [] { connection.session.send(stream, message) }
    if hasEndedRequests { connection.session.finish(stream, trailers: []) }
    flushOutbox()
  }

  private func requestFields() -> [HeaderField] {
    var fields = [
      HeaderField(":method", "POST"),
      HeaderField(":scheme", core.configuration.tls == nil ? "http" : "https"),
      HeaderField(":path", method.path),
      HeaderField(":authority", core.target),
    ]
    if let deadline {
      let left = max(1, deadline.remaining(on: eventLoop).clampedNanoseconds)
      fields.append(
        HeaderField("grpc-timeout", TimeoutHeader.encode(nanoseconds: UInt64(left)))
      )
    }
    fields.append(HeaderField("te", "trailers"))
    fields.append(HeaderField("content-type", "application/grpc"))
    fields.append(HeaderField("grpc-accept-encoding", "identity"))
    fields.append(HeaderField("user-agent", "grpc-swift-llmos/1.0"))
    fields.append(contentsOf: userFields)
    return fields
  }

  func received(head fields: [HeaderField], endStream: Bool, oversized: Bool) {
    hasHead = true
    replay = nil
    guard !oversized else { return fail(oversizedMetadata) }
    if endStream, let outcome = StatusWire.outcome(of: fields) { return finish(outcome) }
    let status = Int(fields.first(":status") ?? "") ?? 0
    let type = fields.first("content-type") ?? ""
    if status != 200 || !type.hasPrefix("application/grpc") {
      let detail = status == 200 ? "content-type '\(type.prefix(100))'" : "HTTP status \(status)"
      return fail(
        RPCError(StatusWire.code(httpStatus: status), "the server answered with \(detail)")
      )
    }
    if endStream { return fail(noStatus) }
    metadata.withLock { $0.initial = Metadata(fields: fields) }
  }

  func received(_ bytes: [UInt8]) {
    guard case .open(let connection, let stream) = phase else { return }
    // One response may grow to its limit whether it is waited for or not: the caller may still be
    // sending requests that the server no longer reads.
    let takesAll = method.kind.sendsOneResponse
    if !takesAll { inbox.received(bytes.count) }
    do throws(RPCError) {
      try deframer.append(bytes) { message throws(RPCError) in
        responses += 1
        if method.kind.sendsOneResponse, responses > 1 { throw notOneResponse }
        inbox.push(message)
      }
      connection.session.consume(stream, takesAll ? bytes.count : inbox.settle())
    } catch {
      fail(error)
    }
  }

  func received(trailers fields: [HeaderField], oversized: Bool) {
    if oversized { return fail(oversizedMetadata) }
    guard let outcome = StatusWire.outcome(of: fields) else { return fail(noStatus) }
    finish(outcome)
  }

  func receivedEnd() {
    fail(noStatus)
  }

  /// The stream is gone without a status.
  func closed(_ code: HTTP2ErrorCode) {
    guard case .open = phase else { return }
    if code == .refusedStream, !hasHead, replay != nil, attempts < Self.maxAttempts {
      // The server has not seen the call: it is safe to send it again (gRFC A6, "transparent").
      phase = .waiting
      let delay = core.configuration.random.number(in: Self.retryDelay)
      retryTimer = eventLoop.scheduleTask(in: .milliseconds(delay)) { self.askForStream() }
      return
    }
    if let deadline, deadline.hasPassed(on: eventLoop) {
      return end(deadlineExceeded, dropping: true)
    }
    end(StatusWire.error(reset: code), dropping: true)
  }

  func connectionLost(_ error: RPCError) {
    end(error, dropping: true)
  }

  // MARK: StreamPort

  func giveBack(_ bytes: Int) {
    guard case .open(let connection, let stream) = phase, !connection.isClosed else { return }
    connection.session.consume(stream, bytes)
    connection.setNeedsFlush()
  }

  func flushOutbox() {
    eventLoop.assertInEventLoop()
    guard case .open(let connection, let stream) = phase, !connection.isClosed else { return }
    let (messages, hasEnded) = outbox.take()
    for message in messages {
      connection.session.send(stream, message)
      remember(message)
    }
    if hasEnded, !hasEndedRequests {
      hasEndedRequests = true
      connection.session.finish(stream, trailers: [])
    }
    outbox.setBlocked(connection.session.isCongested(stream))
    connection.setNeedsFlush()
  }

  private func remember(_ message: [UInt8]) {
    replayCount += message.count
    // A single message is shared, not copied: it may be of any size.
    if replayCount > Self.replayBytes, replay?.isEmpty == false { replay = nil }
    replay?.append(message)
  }

  // MARK: The end

  /// The server stated the outcome.
  private func finish(_ outcome: Result<Metadata, RPCError>) {
    switch outcome {
    case .success(let trailing):
      metadata.withLock { $0.trailing = trailing }
      if deframer.isMidMessage {
        return fail(RPCError(.internal, "the response ends within a message"))
      }
      if method.kind.sendsOneResponse, responses != 1 { return fail(notOneResponse) }
      end(nil, dropping: false)
    case .failure(let error):
      metadata.withLock { $0.trailing = error.metadata }
      end(error, dropping: false)
    }
  }

  /// Ends the call from this side.
  func fail(_ error: RPCError) {
    eventLoop.assertInEventLoop()
    end(error, dropping: true)
  }

  private func end(_ error: RPCError?, dropping: Bool) {
    let last = phase
    guard !isOver else { return }
    phase = .over
    deadlineTimer?.cancel()
    readyTimer?.cancel()
    retryTimer?.cancel()
    replay = nil
    if case .open(let connection, let stream) = last, !connection.isClosed {
      connection.callEnded(stream)
      // A stream that is complete on both sides is gone already; then this does nothing.
      connection.session.reset(stream, dropping ? .cancel : .noError)
      connection.setNeedsFlush()
    }
    if let error, dropping { inbox.fail(error) } else { inbox.finish(error) }
    outbox.close(error ?? RPCError(.cancelled, "write: the call is over"))
  }

  private var deadlineExceeded: RPCError {
    RPCError(.deadlineExceeded, "\(method.path): the deadline passed before the call ended")
  }
  private var oversizedMetadata: RPCError {
    RPCError(
      .resourceExhausted,
      "the server's metadata is larger than \(core.configuration.maxMetadataBytes) bytes"
    )
  }
  private var noStatus: RPCError {
    RPCError(.unknown, "\(method.path): the server ended the stream without a status")
  }
  /// gRPC's statuscodes.md: a cardinality violation.
  private var notOneResponse: RPCError {
    RPCError(.unimplemented, "\(method.path): the server sent other than one response")
  }
}
