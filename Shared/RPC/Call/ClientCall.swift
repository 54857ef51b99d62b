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
  static let refusedDelay: ClosedRange<Int64> = 5...25

  let eventLoop: any EventLoop
  let inbox: MessageInbox
  let outbox: MessageOutbox
  let core: ChannelCore
  let method: MethodDescriptor
  let waitsForConnection: Bool
  /// How requests are compressed.
  let encoding: MessageEncoding

  private let census: Census.Entry?
  let userFields: [HeaderField]
  let deadline: Deadline?
  /// How long an attempt that counts may wait for a stream.
  let readyTimeout: Duration?
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
  var attempts: [ClientAttempt] = []
  /// The attempt whose response has begun.
  var committed: ClientAttempt?
  private var replay: ReplayBuffer
  private var hasEndedRequests = false
  var retry: RetryState
  /// Whether the call was sent again already because a server's transport refused it.
  var hasBeenRefused = false
  /// Attempts that no server has seen and that are about to be made again.
  var repeating = 0
  /// How the last attempt ended that was not committed.
  var lastOutcome: AttemptOutcome?
  private var deadlineTimer: Scheduled<Void>?
  /// Until when the last of them may.
  var readyDeadline: NIODeadline?
  var readyTimer: Scheduled<Void>?
  var repeatTimer: Scheduled<Void>?
  var retryTimer: Scheduled<Void>?

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

  /// How long an attempt may wait for its response to begin.
  var receiveTimeout: Duration? { committed == nil ? retry.receiveTimeout : nil }

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
  func finish(_ outcome: Result<Metadata, RPCError>) {
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

}
