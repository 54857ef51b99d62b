import Logging
import NIOCore
import NIOSSL
import NIOTLS

/// One client's connection: its calls, its handshake, its end.
///
/// A drain has two steps: `draining` announces the end and waits a round trip for streams that are
/// on their way, `closing` names the last stream and ends the connection with it.
final class ServerConnection: HTTP2Connection, @unchecked Sendable {
  enum Phase {
    /// Waits for TLS and the client's first SETTINGS; to `open`.
    case handshake
    /// Serves calls; to `draining`.
    case open
    /// The end is announced; to `closing` after a round trip or `noticeTimeout`.
    case draining
    /// The last stream is named; the connection ends with it.
    case closing
  }

  /// What every response begins with.
  static let responseHead = [
    HeaderField(":status", "200"), HeaderField("content-type", "application/grpc"),
  ]

  let core: ServerCore
  let executor: LoopExecutor
  private let census: Census.Entry?
  let workers: CallWorkers
  /// Of each call; here, as the configuration is too large to be copied for each.
  let callLimits: (windowBytes: Int, messageBytesMax: Int, writeBufferBytes: Int)
  /// The client's address and port.
  let remoteAddress: String
  /// What limits by address know the client by; nil for one within the process or of the Unix domain.
  let remoteHost: String?
  /// Who the client is by its certificate, once TLS is agreed on.
  private(set) var peer: PeerIdentity?
  /// What the server's `callLimits` account the client's calls to.
  private var accountName: String
  /// What the server's account of unread bytes knows of this connection.
  var unreadBytesCounted = 0
  var phase = Phase.handshake
  @exclusivity(unchecked) var calls = StreamTable<ServerCall>()
  @exclusivity(unchecked) private var metadataCache = MetadataCache()
  /// Calls whose request came with the events that are being handled.
  @exclusivity(unchecked) private var waitingRequests: [ServerCall] = []
  /// Handlers that run, those of calls that are over included.
  @exclusivity(unchecked) var handlers = 0
  /// What the requests of all calls hold that wait for their handlers.
  let requestBudget: ByteBudget
  private var handshakeTimer: Scheduled<Void>?
  var drainTimer: Scheduled<Void>?
  var keepaliveTimer: Scheduled<Void>?
  var lastRead: NIODeadline
  var isPingOutstanding = false
  /// From the client's SETTINGS on.
  var lifetime: ConnectionLifetime?
  var lifetimeTimer: Scheduled<Void>?
  var hasEnded = false
  var plain: [Int32: PlainHTTPExchange] = [:]
  var guards: ConnectionGuards
  var guardTimer: Scheduled<Void>?
  /// Calls whose single request is not complete.
  var halfRequests = 0
  /// Why the client is cut, when no rule of the session says so.
  var cutReason: String?

  init(
    core: ServerCore,
    eventLoop: any EventLoop,
    remoteAddress: String,
    remoteHost: String? = nil
  )
    throws(HTTP2SessionError)
  {
    self.core = core
    census = core.configuration.census?.enter(.serverConnection)
    self.remoteAddress = remoteAddress
    self.remoteHost = remoteHost
    accountName = remoteHost ?? remoteAddress
    executor = LoopExecutor(eventLoop)
    guards = ConnectionGuards(core.configuration.guardLimits)
    workers = CallWorkers(executor)
    let configuration = core.configuration
    let limits = configuration.sessionLimits
    callLimits = (limits.streamWindowBytes, configuration.maxMessageBytes, limits.writeHighBytes)
    lastRead = eventLoop.now
    requestBudget = ByteBudget(
      limit: core.configuration.requestBytesMax,
      shared: core.requestBytes
    )
    try super.init(
      role: .server,
      limits: limits,
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
    guard case .handshakeCompleted(let name)? = event as? TLSUserEvent else { return }
    guard name == "h2" else { return close(reason: "TLS: the client did not agree on h2") }
    let certificate = try? context?.pipeline.syncOperations.nioSSL_peerCertificate()
    peer = certificate.map { PeerIdentity($0) }
    if let name = peer?.name { accountName = name }
  }

  override var lingersAfterError: Bool { true }

  override func connectionClosed() {
    connectionEnding()
    // One that lingers may have been told to end since.
    drainTimer?.cancel()
    core.removed(self)
  }

  override func connectionEnding() {
    guard !hasEnded else { return }
    hasEnded = true
    handshakeTimer?.cancel()
    drainTimer?.cancel()
    keepaliveTimer?.cancel()
    lifetimeTimer?.cancel()
    guardTimer?.cancel()
    let reason = closeReason ?? ""
    if let violation = session.violation ?? cutReason {
      core.logCut(peer: remoteAddress, reason: violation, at: eventLoop.now)
    } else {
      core.logger.debug(
        "connection closed",
        metadata: ["peer": "\(remoteAddress)", "reason": "\(reason)"]
      )
    }
    // In a set order, which a simulation can repeat.
    let lost = calls.values
    calls.removeAll()
    for call in lost { call.lost(RPCError(.cancelled, "the connection is gone: \(reason)")) }
    let exchanges = plain.sorted { $0.key < $1.key }.map(\.value)
    plain = [:]
    for exchange in exchanges { exchange.lost() }
    countUnread(0)
    workers.close()
  }

  override var closesWhenFinished: Bool {
    // Between the two steps of a drain streams may be on their way.
    if case .draining = phase { return false }
    return true
  }

  func onLoop(_ body: @escaping @Sendable () -> Void) {
    if eventLoop.inEventLoop { body() } else { eventLoop.execute(body) }
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
        guard let call = try open(stream, fields, endStream, oversized) else { return }
        if endStream { call.receivedEnd() }
      } catch {
        reject(stream, error)
        counts.began(at: lastRead)
        counts.ended(isSuccess: false)
        let path = fields.first(.path) ?? ""
        core.configuration.onCallRejected?(
          RejectedCallRecord(
            path: path.cut(to: RejectedCallRecord.pathBytesMax),
            method: core.router.method(at: path),
            error: error,
            remoteAddress: remoteAddress
          )
        )
      }
    case .data(let stream, let bytes):
      if let call = calls[stream] {
        call.received(bytes)
      } else {
        plain[stream]?.received(Array(bytes))
      }
    case .trailers(let stream, _, _), .end(let stream):
      if let call = calls[stream] { call.receivedEnd() } else { plain[stream]?.receivedEnd() }
    case .closed(let stream, let code):
      plain.removeValue(forKey: stream)?.lost()
      // Whatever code a client gives, it wants the call no longer.
      calls.removeValue(forKey: stream)?.lost(
        RPCError(.cancelled, "the client reset the stream: \(code)")
      )
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
    _ endStream: Bool,
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
      if let handler = core.configuration.httpHandler {
        openPlain(stream, fields, endStream, handler)
        return nil
      }
      session.submitResponse(stream, [HeaderField(":status", status)], endStream: true)
      setNeedsFlush()
      return nil
    }
    guard fields.first(.te) == "trailers" else {
      throw RPCError(.internal, "the request lacks 'te: trailers'")
    }
    let handler = try core.router.handler(for: fields.first(.path) ?? "")
    let decoding = MessageDecoding(header: fields.first(.grpcEncoding))
    if case .unknown(let name) = decoding {
      throw RPCError(.unimplemented, "grpc-encoding '\(name)' is not known here")
    }
    let deadline = try deadline(fields)
    guard !hasUnreadLimitReached else { throw Self.tooMuchUnread }
    guard mayStartHandler else {
      session.reset(stream, .refusedStream)
      setNeedsFlush()
      return nil
    }
    let permit = try core.callLimiter?.admit(
      handler.descriptor,
      peer: accountName,
      at: eventLoop.now.uptimeNanoseconds
    )
    let call = ServerCall(
      stream: stream,
      connection: self,
      handler: handler,
      metadata: metadataCache.metadata(of: fields),
      deadline: deadline,
      decoding: decoding,
      acceptedEncodings: fields.first(.grpcAcceptEncoding),
      permit: permit,
      metadataBytes: fields.listSize
    )
    calls[stream] = call
    counts.began(at: lastRead)
    lifetime?.callBegan()
    call.start()
    return call
  }

  /// The status for what is no gRPC request at all (gRPC's PROTOCOL-HTTP2.md, "Requests").
  private static func httpStatus(refusing fields: [HeaderField]) -> String? {
    guard fields.first(.method) == "POST" else { return "405" }
    let type = fields.first(.contentType) ?? ""
    return StatusWire.isKnown(contentType: type) == true ? nil : "415"
  }

  private func deadline(_ fields: [HeaderField]) throws(RPCError) -> Deadline? {
    guard let text = fields.first(.grpcTimeout) else { return nil }
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
  var hasUnreadLimitReached: Bool {
    let held = session.heldBytes
    return held >= core.configuration.maxUnreadBytes
      || core.unreadBytes.isExceeded(byMemberWith: held)
  }

  override func flushed() {
    guard !hasEnded else { return }
    countUnread(session.heldBytes)
    startGuards()
  }

  static let tooMuchUnread = RPCError(
    .resourceExhausted,
    "too many bytes of responses wait for the client to read them"
  )

  /// Whether a further handler may run, when those that wait for their requests run too.
  var mayStartHandler: Bool {
    handlers + halfRequests < core.configuration.maxConcurrentStreams
  }

  /// The call's request lies in the buffer that streams share, until the events are through.
  func requestWaits(_ call: ServerCall) {
    waitingRequests.append(call)
  }

  override func eventsBegin() {
    executor.collect()
  }

  override func eventsHandled() {
    executor.runReady()
    guard !waitingRequests.isEmpty else { return }
    for call in waitingRequests { call.keepRequest() }
    waitingRequests.removeAll(keepingCapacity: true)
  }

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
    since start: NIODeadline,
    reachedHandler: Bool
  ) {
    calls.removeValue(forKey: stream)
    counts.ended(isSuccess: error == nil)
    let onCallEnd = core.configuration.onCallEnd
    // The clock is asked where somebody wants to know.
    guard onCallEnd != nil || calls.isEmpty else { return }
    let now = eventLoop.now
    if calls.isEmpty, plain.isEmpty { lifetime?.becameIdle(at: now) }
    guard let onCallEnd else { return }
    onCallEnd(
      ServerCallRecord(
        method: method,
        status: error?.code ?? .ok,
        duration: .nanoseconds((now - start).nanoseconds),
        error: error,
        reachedHandler: reachedHandler,
        remoteAddress: remoteAddress
      )
    )
  }
}
