import Logging
import NIOCore

/// How a server's connection ends: drains, age, idleness, silence.
extension ServerConnection {
  /// The longest wait for the client's answer between the two steps of a drain.
  private static let noticeTimeout = TimeAmount.seconds(1)
  /// The time a client has to read the last statuses before the socket is closed.
  private static let lingerTimeout = TimeAmount.seconds(1)

  /// Announces the end; calls that run are finished, new ones go elsewhere.
  func beginDrain() {
    onLoop {
      guard !self.isClosed, !self.hasEnded else { return }
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

  func nameLastStream() {
    guard case .draining = phase, !isClosed else { return }
    phase = .closing
    session.submitGoAway()
    setNeedsFlush()
  }

  /// Ends every call with UNAVAILABLE, and the connection: another server may take the call.
  func cancelAll(reason: String = "the server is shutting down") {
    guard !isClosed else { return }
    phase = .closing
    let error = RPCError(.unavailable, reason)
    for call in calls.values {
      // A reset would say CANCELLED, which no client tries again; the end of the connection says UNAVAILABLE.
      if session.pendingBytes(call.stream) > 0 { call.lost(error) } else { call.fail(error) }
    }
    for (_, exchange) in plain.sorted(by: { $0.key < $1.key }) { exchange.fail() }
    session.submitGoAway()
    setNeedsFlush()
    drainTimer?.cancel()
    drainTimer = eventLoop.scheduleTask(in: Self.lingerTimeout) { self.close(reason: reason) }
  }

  func startLifetime() {
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

  func startKeepalive() {
    let interval = TimeAmount(core.configuration.keepaliveInterval)
    keepaliveTimer = eventLoop.scheduleTask(deadline: lastRead + interval) {
      guard !self.isClosed else { return }
      guard self.lastRead + interval <= self.eventLoop.now else { return self.startKeepalive() }
      self.isPingOutstanding = true
      self.keepalivesSent += 1
      self.session.submitPing()
      self.setNeedsFlush()
      let timeout = TimeAmount(self.core.configuration.keepaliveTimeout)
      self.keepaliveTimer = self.eventLoop.scheduleTask(in: timeout) {
        guard !self.isPingOutstanding else { return self.close(reason: "no answer to a ping") }
        self.startKeepalive()
      }
    }
  }
}
