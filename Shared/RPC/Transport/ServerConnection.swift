import Logging
import NIOCore
import NIOTLS

/// One client's connection: its calls, its handshake, its end.
///
/// A drain has two steps: `draining` announces the end and waits a round trip for streams that are
/// on their way, `closing` names the last stream and ends the connection with it.
final class ServerConnection: HTTP2Connection, @unchecked Sendable {
  private enum Phase {
    /// Waits for TLS and the client's first SETTINGS; to `open`.
    case handshake
    /// Serves calls; to `draining`.
    case open
    /// The end is announced; to `closing` after a round trip or `noticeTimeout`.
    case draining
    /// The last stream is named; the connection ends with it.
    case closing
  }

  /// The longest wait for the client's answer between the two steps of a drain.
  private static let noticeTimeout = TimeAmount.seconds(1)
  /// The time a client has to read the last statuses before the socket is closed.
  private static let lingerTimeout = TimeAmount.seconds(1)
  /// What every response begins with.
  static let responseHead = [
    HeaderField(":status", "200"), HeaderField("content-type", "application/grpc"),
  ]

  let core: ServerCore
  let executor: LoopExecutor
  private let remoteAddress: String
  private var phase = Phase.handshake
  private var calls: [Int32: ServerCall] = [:]
  /// Handlers that run, those of calls that are over included.
  private var handlers = 0
  /// What the requests of all calls hold that wait for their handlers.
  let requestBudget: ByteBudget
  private var handshakeTimer: Scheduled<Void>?
  private var drainTimer: Scheduled<Void>?
  private var keepaliveTimer: Scheduled<Void>?
  private var lastRead: NIODeadline
  private var isPingOutstanding = false
  /// From the client's SETTINGS on.
  private var lifetime: ConnectionLifetime?
  private var lifetimeTimer: Scheduled<Void>?
  private var hasEnded = false

  init(
    core: ServerCore,
    eventLoop: any EventLoop,
    remoteAddress: String
  )
    throws(HTTP2SessionError)
  {
    self.core = core
    self.remoteAddress = remoteAddress
    executor = LoopExecutor(eventLoop)
    lastRead = eventLoop.now
    requestBudget = ByteBudget(limit: core.configuration.requestBytesMax)
    try super.init(
      role: .server,
      limits: core.configuration.sessionLimits,
      eventLoop: eventLoop
    )
  }

  // MARK: Lifecycle

  override func connectionActive() {
    guard handshakeTimer == nil else { return }
    let timeout = TimeAmount(core.configuration.handshakeTimeout)
    handshakeTimer = eventLoop.scheduleTask(in: timeout) {
      guard case .handshake = self.phase else { return }
      self.close(reason: "the client did not finish its handshake in time")
    }
  }

  override func userEvent(_ event: Any) {
    guard case .handshakeCompleted(let name)? = event as? TLSUserEvent, name != "h2" else { return }
    close(reason: "TLS: the client did not agree on h2")
  }

  override var lingersAfterError: Bool { true }

  override func connectionClosed() {
    connectionEnding()
    core.removed(self)
  }

  override func connectionEnding() {
    guard !hasEnded else { return }
    hasEnded = true
    handshakeTimer?.cancel()
    drainTimer?.cancel()
    keepaliveTimer?.cancel()
    lifetimeTimer?.cancel()
    let reason = closeReason ?? ""
    if let violation = session.violation {
      core.logger.warning(
        "connection cut",
        metadata: ["peer": "\(remoteAddress)", "reason": "\(violation)"]
      )
    } else {
      core.logger.debug(
        "connection closed",
        metadata: ["peer": "\(remoteAddress)", "reason": "\(reason)"]
      )
    }
    // In a set order, which a simulation can repeat.
    let lost = calls.sorted { $0.key < $1.key }.map(\.value)
    calls = [:]
    for call in lost { call.lost(RPCError(.cancelled, "the connection is gone: \(reason)")) }
  }

  override var closesWhenFinished: Bool {
    // Between the two steps of a drain streams may be on their way.
    if case .draining = phase { return false }
    return true
  }

  /// Announces the end; calls that run are finished, new ones go elsewhere.
  func beginDrain() {
    onLoop {
      switch self.phase {
      case .draining, .closing: return
      case .handshake: return self.close(reason: "the server is shutting down")
      case .open: break
      }
      self.phase = .draining
      self.session.submitShutdownNotice()
      self.session.submitPing()
      self.setNeedsFlush()
      self.drainTimer = self.eventLoop.scheduleTask(in: Self.noticeTimeout) {
        self.nameLastStream()
      }
    }
  }

  private func nameLastStream() {
    guard case .draining = phase, !isClosed else { return }
    phase = .closing
    session.submitGoAway()
    setNeedsFlush()
  }

  /// Ends every call with UNAVAILABLE, and the connection: another server may take the call.
  func cancelAll(reason: String = "the server is shutting down") {
    guard !isClosed else { return }
    phase = .closing
    for (_, call) in calls.sorted(by: { $0.key < $1.key }) {
      call.fail(RPCError(.unavailable, reason))
    }
    session.submitGoAway()
    setNeedsFlush()
    drainTimer?.cancel()
    drainTimer = eventLoop.scheduleTask(in: Self.lingerTimeout) { self.close(reason: reason) }
  }

  private func startLifetime() {
    let limits = core.configuration.lifetimeLimits
    lifetime = ConnectionLifetime(
      limits,
      at: eventLoop.now,
      jitter: core.configuration.random.number(in: -1...1)
    )
    scheduleLifetime()
  }

  private func scheduleLifetime() {
    guard let next = lifetime?.nextCheck(after: eventLoop.now) else { return }
    lifetimeTimer = eventLoop.scheduleTask(deadline: next) {
      guard !self.isClosed, !self.hasEnded else { return }
      switch self.lifetime?.check(at: self.eventLoop.now) {
      case .drain(let reason):
        self.core.logger.debug(
          "connection drains",
          metadata: ["peer": "\(self.remoteAddress)", "reason": "\(reason)"]
        )
        self.beginDrain()
      case .cancel(let reason): self.cancelAll(reason: reason)
      case nil: break
      }
      self.scheduleLifetime()
    }
  }

  private func onLoop(_ body: @escaping @Sendable () -> Void) {
    if eventLoop.inEventLoop { body() } else { eventLoop.execute(body) }
  }

  private func startKeepalive() {
    let interval = TimeAmount(core.configuration.keepaliveInterval)
    keepaliveTimer = eventLoop.scheduleTask(deadline: lastRead + interval) {
      guard !self.isClosed else { return }
      guard self.lastRead + interval <= self.eventLoop.now else { return self.startKeepalive() }
      self.isPingOutstanding = true
      self.session.submitPing()
      self.setNeedsFlush()
      let timeout = TimeAmount(self.core.configuration.keepaliveTimeout)
      self.keepaliveTimer = self.eventLoop.scheduleTask(in: timeout) {
        guard !self.isPingOutstanding else { return self.close(reason: "no answer to a ping") }
        self.startKeepalive()
      }
    }
  }

  override func bytesArrived(at now: NIODeadline) {
    lastRead = now
    isPingOutstanding = false
  }

  // MARK: Events

  override func handle(_ event: HTTP2Event) {
    switch event {
    case .head(let stream, let fields, let endStream, let oversized):
      do throws(RPCError) {
        guard let call = try open(stream, fields, oversized) else { return }
        if endStream { call.receivedEnd() }
      } catch {
        reject(stream, error)
        let path = fields.first(":path") ?? ""
        core.configuration.onCallRejected?(
          RejectedCallRecord(
            path: path.cut(to: RejectedCallRecord.pathBytesMax),
            method: core.router.method(at: path),
            error: error,
            remoteAddress: remoteAddress
          )
        )
      }
    case .data(let stream, let bytes): calls[stream]?.received(bytes)
    case .trailers(let stream, _, _), .end(let stream): calls[stream]?.receivedEnd()
    case .closed(let stream, let code):
      calls.removeValue(forKey: stream)?.lost(StatusWire.error(reset: code))
    case .writable(let stream): calls[stream]?.becameWritable()
    case .settings:
      guard case .handshake = phase else { return }
      phase = .open
      handshakeTimer?.cancel()
      startKeepalive()
      startLifetime()
    case .pong: nameLastStream()
    case .unsent: break
    case .goAway: break
    }
  }

  /// Begins the call that a head asks for; nil when the answer is an HTTP status or a reset.
  private func open(
    _ stream: Int32,
    _ fields: [HeaderField],
    _ oversized: Bool
  )
    throws(RPCError) -> ServerCall?
  {
    guard !oversized else {
      throw RPCError(
        .resourceExhausted,
        "metadata is larger than \(core.configuration.maxMetadataBytes) bytes"
      )
    }
    if let status = Self.httpStatus(refusing: fields) {
      session.submitResponse(stream, [HeaderField(":status", status)], endStream: true)
      setNeedsFlush()
      return nil
    }
    guard fields.first("te") == "trailers" else {
      throw RPCError(.internal, "the request lacks 'te: trailers'")
    }
    let handler = try core.router.handler(for: fields.first(":path") ?? "")
    let decoding = MessageDecoding(header: fields.first("grpc-encoding"))
    if case .unknown(let name) = decoding {
      throw RPCError(.unimplemented, "grpc-encoding '\(name)' is not known here")
    }
    let deadline = try deadline(fields)
    guard !hasUnreadLimitReached else { throw Self.tooMuchUnread }
    guard handlers < core.configuration.maxConcurrentStreams else {
      session.reset(stream, .refusedStream)
      setNeedsFlush()
      return nil
    }
    let call = ServerCall(
      stream: stream,
      connection: self,
      handler: handler,
      context: ServerContext(
        method: handler.descriptor,
        metadata: Metadata(fields: fields),
        deadline: deadline,
        remoteAddress: remoteAddress
      ),
      decoding: decoding,
      acceptedEncodings: fields.first("grpc-accept-encoding")
    )
    calls[stream] = call
    lifetime?.callBegan()
    call.start()
    return call
  }

  /// The status for what is no gRPC request at all (gRPC's PROTOCOL-HTTP2.md, "Requests").
  private static func httpStatus(refusing fields: [HeaderField]) -> String? {
    guard fields.first(":method") == "POST" else { return "405" }
    let prefix = "application/grpc"
    guard let type = fields.first("content-type"), type.hasPrefix(prefix) else { return "415" }
    let rest = type.dropFirst(prefix.count)
    return rest.isEmpty || rest.hasPrefix("+") || rest.hasPrefix(";") ? nil : "415"
  }

  private func deadline(_ fields: [HeaderField]) throws(RPCError) -> Deadline? {
    guard let text = fields.first("grpc-timeout") else { return nil }
    guard let nanoseconds = TimeoutHeader.decode(text) else {
      throw RPCError(.internal, "grpc-timeout '\(text.cut(to: 20))' is malformed")
    }
    return .after(.nanoseconds(Int64(clamping: nanoseconds)), on: eventLoop)
  }

  private func reject(_ stream: Int32, _ error: RPCError) {
    var fields = Self.responseHead
    if error.code == .unimplemented {
      fields.append(HeaderField("grpc-accept-encoding", MessageEncoding.accepted))
    }
    StatusWire.append(
      error,
      trailing: Metadata(),
      to: &fields,
      maxListBytes: session.maxSentHeaderListBytes
    )
    session.submitResponse(stream, fields, endStream: true)
    setNeedsFlush()
  }

  // MARK: For calls

  /// Whether the client leaves so much unread that no call may add to it.
  var hasUnreadLimitReached: Bool { session.heldBytes >= core.configuration.maxUnreadBytes }

  static let tooMuchUnread = RPCError(
    .resourceExhausted,
    "too many bytes of responses wait for the client to read them"
  )

  func handlerStarted() {
    handlers += 1
    core.handlersChanged(by: 1)
  }

  func handlerEnded() {
    handlers -= 1
    core.handlersChanged(by: -1)
  }

  func callEnded(
    _ stream: Int32,
    method: MethodDescriptor,
    error: RPCError?,
    since start: NIODeadline
  ) {
    calls[stream] = nil
    let now = eventLoop.now
    if calls.isEmpty { lifetime?.becameIdle(at: now) }
    core.configuration.onCallEnd?(
      ServerCallRecord(
        method: method,
        status: error?.code ?? .ok,
        duration: .nanoseconds((now - start).nanoseconds)
      )
    )
  }
}
