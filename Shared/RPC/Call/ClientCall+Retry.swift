import NIOCore

/// Which attempts a call makes, one after the other or side by side, and how long they may wait.
extension ClientCall {
  /// Makes the next attempt that counts.
  func attemptNext() {
    guard !isOver, committed == nil else { return }
    renewReadyDeadline()
    attempt(previous: retry.begin())
    // Further ones do not wait for it to end when the call hedges; if it has failed already, the
    // timer for the next one runs.
    if retryTimer == nil, let delay = retry.hedgingDelay, retry.mayBegin(core.retryThrottle) {
      attemptNext(after: delay)
    }
  }

  private func attemptNext(after delay: Duration) {
    retryTimer?.cancel()
    guard !isOver, committed == nil else { return }
    retryTimer = eventLoop.scheduleTask(in: TimeAmount(delay)) {
      self.retryTimer = nil
      if self.retry.mayBegin(self.core.retryThrottle) { return self.attemptNext() }
      // Throttled meanwhile: the call waits for what runs, or has failed.
      if !self.hasRunning, let outcome = self.lastOutcome { self.settle(outcome) }
    }
  }

  private var hasRunning: Bool { !attempts.isEmpty || repeating > 0 }

  private func attempt(previous: Int) {
    guard !isOver, committed == nil else { return }
    let attempt = ClientAttempt(self, previous: previous)
    attempts.append(attempt)
    core.admit(attempt)
    boundWait()
  }

  private func renewReadyDeadline() {
    readyDeadline = readyTimeout.map { eventLoop.now + TimeAmount($0) }
  }

  private var isWaiting: Bool { !attempts.isEmpty && !attempts.contains(where: \.isOpen) }

  /// Ends the call if no attempt gets a stream in time.
  private func boundWait() {
    guard let readyDeadline, !isOver, isWaiting else { return }
    readyTimer?.cancel()
    readyTimer = eventLoop.scheduleTask(deadline: readyDeadline) {
      if self.isWaiting { self.fail(self.notReady) }
    }
  }

  private var notReady: RPCError {
    // One that has an endpoint waits for another call's end.
    guard let endpoint = attempts.lazy.compactMap(\.endpoint).first else {
      return core.noConnection()
    }
    return RPCError(.unavailable, "no free stream at \(endpoint): it takes no more calls at once")
  }

  /// An attempt is over; the call is, too, unless it may be sent again.
  func attemptEnded(_ attempt: ClientAttempt, _ outcome: AttemptOutcome) {
    guard !isOver else { return }
    attempts.removeAll { $0 === attempt }
    guard committed == nil else { return settle(outcome) }
    switch outcome {
    case .unsent:
      // Not at once: the connection that was lost must leave its endpoint first.
      return repeatAttempt(attempt, after: .zero)
    case .refused where !hasBeenRefused:
      // The server has not seen the call: it is safe to send it again (gRFC A6, "transparent").
      hasBeenRefused = true
      renewReadyDeadline()
      let delay = core.configuration.random.number(in: Self.refusedDelay)
      return repeatAttempt(attempt, after: .milliseconds(delay))
    default: break
    }
    lastOutcome = outcome
    switch next(outcome, attempt.pushback) {
    case .settle: settle(outcome)
    case .again(let delay): attemptNext(after: delay)
    case .wait: boundWait()
    }
  }

  private func repeatAttempt(_ attempt: ClientAttempt, after delay: Duration) {
    let previous = attempt.previous
    repeating += 1
    repeatTimer = eventLoop.scheduleTask(in: TimeAmount(delay)) {
      self.repeating -= 1
      self.attempt(previous: previous)
    }
  }

  /// What the end of an attempt whose response did not begin leads to.
  private func next(_ outcome: AttemptOutcome, _ pushback: RetryPushback?) -> RetryState.Decision {
    guard let error = outcome.error else { return .settle }
    if case .dropped = outcome { return hasRunning ? .wait : .settle }
    if let deadline, deadline.hasPassed(on: eventLoop) { return .settle }
    var code: StatusCode? = error.code
    if case .timedOut = outcome { code = nil }
    return retry.ended(
      code,
      pushback: pushback,
      running: hasRunning,
      throttle: &core.retryThrottle,
      random: core.configuration.random
    )
  }

  private func settle(_ outcome: AttemptOutcome) {
    switch outcome {
    case .status(let result): finish(result)
    case .failed(let error), .refused(let error), .unsent(let error), .timedOut(let error),
      .dropped(let error):
      if let deadline, deadline.hasPassed(on: eventLoop) { return fail(deadlineExceeded) }
      fail(error)
    }
  }
}
