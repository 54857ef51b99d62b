import Logging
import NIOCore
import NIOTLS

/// One connection to an endpoint: the attempts on it and whether it takes more.
final class ClientConnection: HTTP2Connection, @unchecked Sendable {
  private enum Phase {
    /// Waits for TLS and the server's first SETTINGS; to `ready`.
    case handshake
    /// Takes calls; to `draining`.
    case ready
    /// The server takes no new call, or the ids are used up; ends with its last call.
    case draining
  }

  /// What shorter intervals count as: a timer that is due at once would never let the loop rest.
  private static let keepaliveMin = TimeAmount.milliseconds(1)

  /// Which of its subchannel's attempts to connect it is.
  let number: Int
  private let subchannel: Subchannel
  private let census: Census.Entry?
  private var core: ChannelCore { subchannel.core }
  private var phase = Phase.handshake
  private var attempts: [Int32: ClientAttempt] = [:]
  /// When it must be ready.
  private let deadline: NIODeadline
  private var handshakeTimer: Scheduled<Void>?
  private var keepaliveTimer: Scheduled<Void>?
  private var lastRead: NIODeadline
  private var isPingOutstanding = false
  private var hasEnded = false
  /// Whether a call got the head of a response.
  private(set) var hasAnswered = false
  private(set) var readySince: NIODeadline

  /// Whether the handshake was finished.
  var wasReady: Bool { phase != .handshake }

  /// Creates a connection whose handshake must end before `deadline`.
  init(
    subchannel: Subchannel,
    number: Int,
    deadline: NIODeadline
  ) throws(HTTP2SessionError) {
    self.deadline = deadline
    self.subchannel = subchannel
    self.number = number
    census = subchannel.core.configuration.census?.enter(.clientConnection)
    lastRead = subchannel.eventLoop.now
    readySince = subchannel.eventLoop.now
    try super.init(
      role: .client,
      limits: subchannel.core.configuration.sessionLimits,
      eventLoop: subchannel.eventLoop
    )
  }

  // MARK: Lifecycle

  override func connectionActive() {
    guard handshakeTimer == nil else { return }
    subchannel.connectionActive(self)
    guard !isClosed, !hasEnded else { return }
    handshakeTimer = eventLoop.scheduleTask(deadline: deadline) {
      guard case .handshake = self.phase else { return }
      self.close(reason: "the server did not finish its handshake in time")
    }
  }

  override func userEvent(_ event: Any) {
    guard case .handshakeCompleted(let name)? = event as? TLSUserEvent, name != "h2" else { return }
    close(reason: "TLS: the server did not agree on h2")
  }

  override func connectionClosed() {
    connectionEnding()
    subchannel.connectionClosed(self)
  }

  /// Calls go elsewhere at once: TLS may wait for an answer of the server before the socket closes.
  override func connectionEnding() {
    guard !hasEnded else { return }
    hasEnded = true
    handshakeTimer?.cancel()
    keepaliveTimer?.cancel()
    let reason = closeReason ?? ""
    let code: StatusCode =
      switch session.sentError {
      case nil, .noError: .unavailable
      case .compressionError: .resourceExhausted
      default: .internal
      }
    // In a set order, which a simulation can repeat.
    let lost = attempts.sorted { $0.key < $1.key }
    attempts = [:]
    var error = RPCError(code, "connection to \(subchannel.endpoint) lost: \(reason)")
    error.isConnectionLoss = true
    for (stream, attempt) in lost {
      attempt.connectionLost(error, wasSent: session.wasSent(stream))
    }
    subchannel.connectionEnding(self, reason: reason)
  }

  override func bytesArrived(at now: NIODeadline) {
    lastRead = now
    guard isPingOutstanding else { return }
    isPingOutstanding = false
    keepaliveTimer?.cancel()
    startKeepalive()
  }

  /// Takes no call any more and ends with the last one.
  func drain() {
    guard !isClosed, phase != .draining else { return }
    phase = .draining
    session.submitGoAway()
    setNeedsFlush()
  }

  /// Ends every call with `error`, and the connection.
  func closeNow(_ error: RPCError) {
    for (_, attempt) in attempts.sorted(by: { $0.key < $1.key }) { attempt.call.fail(error) }
    if !isClosed { session.terminate(.noError) }
    close(reason: error.message)
  }

  private func startKeepalive() {
    guard core.keepaliveInterval > .zero, !hasEnded else { return }
    let interval = max(core.keepaliveInterval, Self.keepaliveMin)
    let silentSince = attempts.isEmpty ? eventLoop.now : lastRead
    keepaliveTimer = eventLoop.scheduleTask(deadline: silentSince + interval) {
      guard !self.isClosed else { return }
      let isIdle = self.attempts.isEmpty && !self.core.configuration.keepaliveWithoutCalls
      guard self.lastRead + interval <= self.eventLoop.now, !isIdle else {
        return self.startKeepalive()
      }
      self.isPingOutstanding = true
      self.keepalivesSent += 1
      self.session.submitPing()
      self.setNeedsFlush()
      let timeout = TimeAmount(self.core.configuration.keepaliveTimeout)
      self.keepaliveTimer = self.eventLoop.scheduleTask(in: timeout) {
        self.close(reason: "no answer to a ping")
      }
    }
  }

  // MARK: Calls

  /// Whether a call can be opened now rather than wait for another to end.
  var hasFreeStream: Bool {
    phase == .ready && !hasEnded && session.streamCount < session.peerMaxConcurrentStreams
  }

  /// Opens a stream for the attempt; nil when the connection has none left to give.
  func open(_ attempt: ClientAttempt, _ fields: [HeaderField]) -> Int32? {
    guard let stream = session.submitRequest(fields, endStream: false) else {
      drain()
      subchannel.connectionDraining(self)
      return nil
    }
    attempts[stream] = attempt
    setNeedsFlush()
    return stream
  }

  func attemptEnded(_ stream: Int32) {
    attempts[stream] = nil
  }

  // MARK: Events

  override func handle(_ event: HTTP2Event) {
    switch event {
    case .head(let stream, let fields, let endStream, let oversized):
      hasAnswered = true
      attempts[stream]?.received(head: fields, endStream: endStream, oversized: oversized)
    case .data(let stream, let bytes): attempts[stream]?.received(Array(bytes))
    case .trailers(let stream, let fields, let oversized):
      attempts[stream]?.received(trailers: fields, oversized: oversized)
    case .end(let stream): attempts[stream]?.receivedEnd()
    case .closed(let stream, let code):
      attempts.removeValue(forKey: stream)?.closed(code)
      subchannel.streamFreed()
    case .unsent(let stream):
      attempts.removeValue(forKey: stream)?.unsent()
      subchannel.streamFreed()
    case .writable(let stream): attempts[stream]?.writable()
    case .settings:
      guard phase == .handshake else { return subchannel.streamFreed() }
      phase = .ready
      readySince = eventLoop.now
      handshakeTimer?.cancel()
      startKeepalive()
      subchannel.connectionReady(self)
    case .pong: break
    case .goAway(_, let code, let debug):
      if code == .enhanceYourCalm, debug == "too_many_pings" { core.tooManyPings() }
      if !debug.isEmpty {
        core.configuration.logger.info(
          "the server ends the connection",
          metadata: ["server": "\(subchannel.endpoint)", "reason": "\(debug)"]
        )
      }
      if phase == .handshake { return close(reason: "the server is shutting down") }
      phase = .draining
      subchannel.connectionDraining(self)
    }
  }
}
