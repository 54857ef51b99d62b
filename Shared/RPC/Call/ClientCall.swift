import NIOCore
import Synchronization

/// One call on the client, as its user sees it: what it sends, what it received, its deadline.
///
/// What happens on the wire is the matter of its attempts. Until the response of one begins, the
/// call may be sent again; from then on it is committed to that one and the others end.
///
/// `@unchecked Sendable`: the variables are used on `eventLoop` alone; tasks on other threads reach
/// them through `inbox`, `outbox` and `onLoop`.
final class ClientCall: StreamPort, @unchecked Sendable {
  /// The wait before a refused stream is opened anew, in milliseconds: a server at its limit of
  /// streams needs a moment to count one less.
  private static let refusedDelay: ClosedRange<Int64> = 5...25

  let eventLoop: any EventLoop
  let inbox: MessageInbox
  let outbox: MessageOutbox
  let core: ChannelCore
  let method: MethodDescriptor
  let waitsForConnection: Bool
  /// How requests are compressed.
  let encoding: MessageEncoding

  private let census: Census.Entry?
  private let userFields: [HeaderField]
  private let deadline: Deadline?
  /// How long an attempt that counts may wait for a stream.
  private let readyTimeout: Duration?
  private let metadata = Mutex<(initial: Metadata?, trailing: Metadata?)>((nil, nil))

  /// The only subchannel that the call may use, if it is not up to the policy.
  let pinned: Subchannel?
  /// What hears the call's end.
  private let observer: ClientCallObserver?
  let begunAt: NIODeadline
  /// Streams that were opened.
  private var openedCount = 0
  /// Where the last of them went.
  private var lastEndpoint: Endpoint?
  /// What a policy that hashes hashes of the request.
  let hash: UInt64?
  /// Whether the outcome is known.
  private(set) var isOver = false
  /// Whether the channel counts the call.
  private var isCounted = false
  /// The attempts that are not over.
  private var attempts: [ClientAttempt] = []
  /// The attempt whose response has begun.
  private var committed: ClientAttempt?
  private var replay: ReplayBuffer
  private var hasEndedRequests = false
  private var retry: RetryState
  /// Whether the call was sent again already because a server's transport refused it.
  private var hasBeenRefused = false
  /// Attempts that no server has seen and that are about to be made again.
  private var repeating = 0
  /// How the last attempt ended that was not committed.
  private var lastOutcome: AttemptOutcome?
  private var deadlineTimer: Scheduled<Void>?
  /// Until when the last of them may.
  private var readyDeadline: NIODeadline?
  private var readyTimer: Scheduled<Void>?
  private var repeatTimer: Scheduled<Void>?
  private var retryTimer: Scheduled<Void>?

  /// Throws for metadata that cannot be sent.
  ///
  /// A call that is pinned goes to that subchannel or fails; the channel does not count it.
  init(
    core: ChannelCore,
    method: MethodDescriptor,
    options: CallOptions,
    pinnedTo pinned: Subchannel? = nil,
    observer: ClientCallObserver? = nil
  ) throws(RPCError) {
    self.pinned = pinned
    self.observer = observer
    begunAt = core.eventLoop.now
    var fields: [HeaderField] = []
    try options.metadata.append(to: &fields)
    userFields = fields
    hash = core.hashHeader.flatMap { Self.hash(fields, $0) }
    self.core = core
    census = core.configuration.census?.enter(.clientCall)
    self.method = method
    eventLoop = core.eventLoop
    let loop = core.eventLoop
    let config = pinned == nil ? core.methodConfigs[method] : nil
    let own = Self.least(options.timeout, config?.timeout).map { Deadline.after($0, on: loop) }
    deadline = Self.least(own, Deadline.current)
    readyTimeout = options.readyTimeout
    waitsForConnection =
      options.readyTimeout != nil || options.waitForReady ?? config?.waitForReady ?? false
    retry = RetryState(config?.repetition)
    encoding = core.encodings.allowed(options.compression)
    let limits = core.configuration.sessionLimits
    inbox = MessageInbox(
      windowBytes: limits.streamWindowBytes,
      maxMessageBytes: core.configuration.maxMessageBytes
    )
    outbox = MessageOutbox(highBytes: limits.writeHighBytes)
    replay = ReplayBuffer(limit: core.configuration.retryBufferBytes)
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

  /// The call cannot be begun.
  func refuse(_ error: RPCError) {
    onLoop { self.fail(error) }
  }

  func taskCancelled() {
    cancel()
  }

  /// The hash of a header's values, joined as one list (gRFC A42, "Hash Policies"); nil without any.
  private static func hash(_ fields: [HeaderField], _ name: String) -> UInt64? {
    let values = fields.filter { $0.name == name }.map(\.value)
    return values.isEmpty ? nil : XXHash64.hash(Array(values.joined(separator: ",").utf8))
  }

  /// The lesser of two values that may be missing.
  private static func least<T: Comparable>(_ first: T?, _ second: T?) -> T? {
    guard let first, let second else { return first ?? second }
    return min(first, second)
  }

  private func begin() {
    guard !isOver else { return }
    if pinned == nil {
      if let error = core.callBegan(at: begunAt) { return fail(error) }
      isCounted = true
    }
    if let deadline {
      guard !deadline.hasPassed(on: eventLoop) else { return fail(deadlineExceeded) }
      deadlineTimer = eventLoop.scheduleTask(deadline: deadline.instant) {
        for attempt in self.attempts { attempt.noteTimeout() }
        self.fail(self.deadlineExceeded)
      }
    }
    attemptNext()
  }

  // MARK: Attempts

  /// Makes the next attempt that counts.
  private func attemptNext() {
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

  /// How long an attempt may wait for its response to begin.
  var receiveTimeout: Duration? { committed == nil ? retry.receiveTimeout : nil }

  /// The head of a request on a new stream.
  func requestFields(previousAttempts: Int) -> [HeaderField] {
    var fields = [
      HeaderField(":method", "POST"),
      HeaderField(":scheme", core.configuration.tlsContext == nil ? "http" : "https"),
      HeaderField(":path", method.path),
      HeaderField(":authority", core.authority),
    ]
    if let deadline {
      let left = max(1, deadline.remaining(on: eventLoop).clampedNanoseconds)
      fields.append(
        HeaderField("grpc-timeout", TimeoutHeader.encode(nanoseconds: UInt64(left)))
      )
    }
    fields.append(HeaderField("te", "trailers"))
    fields.append(HeaderField("content-type", "application/grpc"))
    if encoding != .identity { fields.append(HeaderField("grpc-encoding", encoding.rawValue)) }
    fields.append(HeaderField("grpc-accept-encoding", MessageEncoding.accepted))
    fields.append(HeaderField("user-agent", "grpc-swift-llmos/1.0"))
    if previousAttempts > 0 {
      fields.append(HeaderField("grpc-previous-rpc-attempts", "\(previousAttempts)"))
    }
    fields.append(contentsOf: userFields)
    return fields
  }

  /// The attempt has its stream: it sends what others have sent before.
  func attemptOpened(_ attempt: ClientAttempt) {
    readyTimer?.cancel()
    openedCount += 1
    lastEndpoint = attempt.endpoint
    for message in replay.messages { attempt.send(message) }
    if hasEndedRequests { attempt.finishRequests() }
    flushOutbox()
  }

  /// The response of an attempt began: the call is committed to it.
  func responseBegan(_ attempt: ClientAttempt, _ initial: Metadata) {
    guard committed == nil else { return }
    metadata.withLock { $0.initial = initial }
    commit(to: attempt)
  }

  private func commit(to attempt: ClientAttempt) {
    committed = attempt
    attempt.committed()
    replay.drop()
    retryTimer?.cancel()
    repeatTimer?.cancel()
    for other in attempts where other !== attempt { other.cancel() }
    if attempts.count > 1 { attempts = [attempt] }
  }

  func trailersCame(_ trailing: Metadata) {
    metadata.withLock { $0.trailing = trailing }
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

  // MARK: StreamPort

  func giveBack(_ bytes: Int) {
    committed?.consume(bytes)
  }

  func flushOutbox() {
    eventLoop.assertInEventLoop()
    guard !isOver, attempts.contains(where: \.isOpen) else { return }
    let (messages, hasEnded) = outbox.take()
    for message in messages {
      for attempt in attempts { attempt.send(message) }
      remember(message)
    }
    if hasEnded, !hasEndedRequests {
      hasEndedRequests = true
      for attempt in attempts { attempt.finishRequests() }
    }
    // What a slow one of several attempts has not taken is bounded by what is kept for others.
    outbox.setBlocked(attempts.allSatisfy { !$0.isOpen || $0.isCongested })
    for attempt in attempts { attempt.flush() }
  }

  private func remember(_ message: [UInt8]) {
    guard replay.isComplete, !replay.append(message) else { return }
    // Too much to keep for another attempt: one of those that have it all must do.
    if committed == nil, let attempt = attempts.first(where: \.isOpen) { commit(to: attempt) }
  }

  // MARK: The end

  /// The server stated the outcome.
  private func finish(_ outcome: Result<Metadata, RPCError>) {
    switch outcome {
    case .success(let trailing):
      trailersCame(trailing)
      core.retryThrottle?.succeeded()
      end(nil, dropping: false)
    case .failure(let error):
      trailersCame(error.metadata)
      end(error, dropping: false)
    }
  }

  /// Ends the call from this side.
  func fail(_ error: RPCError) {
    eventLoop.assertInEventLoop()
    end(error, dropping: true)
  }

  private func end(_ error: RPCError?, dropping: Bool) {
    guard !isOver else { return }
    isOver = true
    if isCounted { core.callEnded(isSuccess: error == nil) }
    deadlineTimer?.cancel()
    readyTimer?.cancel()
    repeatTimer?.cancel()
    retryTimer?.cancel()
    replay.drop()
    lastOutcome = nil
    let running = attempts
    attempts = []
    committed = nil
    for attempt in running { attempt.cancel() }
    // Before the caller goes on.
    tellEnd(error)
    if let error, dropping { inbox.fail(error) } else { inbox.finish(error) }
    outbox.close(error ?? RPCError(.cancelled, "write: the call is over"))
  }

  private func tellEnd(_ error: RPCError?) {
    guard let observer else { return }
    let (initial, trailing) = metadata.withLock { $0 }
    observer.ended(
      ClientCallEnd(
        error: error,
        initialMetadata: initial,
        trailingMetadata: trailing,
        attempts: openedCount,
        duration: .nanoseconds((eventLoop.now - begunAt).nanoseconds),
        endpoint: lastEndpoint
      )
    )
  }

  private var deadlineExceeded: RPCError {
    RPCError(.deadlineExceeded, "\(method.path): the deadline passed before the call ended")
  }
  var oversizedMetadata: RPCError {
    RPCError(
      .resourceExhausted,
      "the server's metadata is larger than \(core.configuration.maxMetadataBytes) bytes"
    )
  }
  var noStatus: RPCError {
    RPCError(.unknown, "\(method.path): the server ended the stream without a status")
  }
  /// gRPC's statuscodes.md: a cardinality violation.
  var notOneResponse: RPCError {
    RPCError(.unimplemented, "\(method.path): the server sent other than one response")
  }
}
