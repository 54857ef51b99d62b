internal import Tensors
internal import Tokenizers

/// What the engine thread shares with callers: the queue, the wake-up flag, the counters.
final class EngineCore: Sendable {
  struct Control: Sendable {
    /// At most `waitingMax`.
    var waiting: [GenerationJob] = []
    /// Something changed that a sleeping engine must look at: room in a channel, a reader gone.
    var isSignaled = false
    var isShuttingDown = false
    var hasEnded = false
    var shutdownWaiters: [CheckedContinuation<Void, Never>] = []
    /// Rounds of the engine's loop; it stands still when there is nothing to do.
    var rounds = 0
  }

  let model: any SequenceModel
  let tokenizer: Tokenizer
  let limits: EngineLimits
  /// Tokens of the longest sequence that the model and the limits allow.
  let contextTokens: Int
  let control = Monitor(Control())
  private let counters: EngineCounters

  init(
    model: any SequenceModel,
    tokenizer: Tokenizer,
    limits: EngineLimits,
    counters: EngineCounters
  ) {
    precondition(
      limits.activeMax > 0 && limits.waitingMax > 0 && limits.bufferedEventsMax > 0
        && limits.cacheBytesMax > 0,
      "engine limits must be positive"
    )
    self.model = model
    self.tokenizer = tokenizer
    self.limits = limits
    self.counters = counters
    contextTokens = min(model.contextTokens, limits.cacheBytesMax / model.cacheBytesPerToken)
  }

  // MARK: The callers' side

  /// Queues a request that was checked.
  func submit(_ request: GenerationRequest) throws(GenerationError) -> EventChannel {
    let control = control
    let channel = EventChannel(capacity: limits.bufferedEventsMax) {
      control.notify { $0.isSignaled = true }
    }
    let room = contextTokens - request.promptIDs.count
    let completionTokensMax = min(room, request.maxTokens ?? room)
    let job = GenerationJob(
      request: request,
      channel: channel,
      completionTokensMax: completionTokensMax,
      cacheBytes: (request.promptIDs.count + completionTokensMax) * model.cacheBytesPerToken
    )
    let refusal: GenerationError? = control.notify { control in
      guard !control.isShuttingDown else { return Self.shutDownError }
      dropCancelled(&control)
      guard control.waiting.count < limits.waitingMax else {
        return GenerationError(
          .overloaded,
          "\(limits.activeMax) generations run and \(limits.waitingMax) wait; no more are accepted"
        )
      }
      control.waiting.append(job)
      return nil
    }
    if let refusal {
      if refusal.code == .overloaded { count { $0.refused += 1 } }
      throw refusal
    }
    return channel
  }

  var status: EngineStatus {
    let waiting = control.withLock { control in
      dropCancelled(&control)
      return control.waiting.count
    }
    var status = counters.value
    status.waiting = waiting
    return status
  }

  /// Asks the engine thread to end, and waits for it.
  func shutdown() async {
    await withCheckedContinuation { continuation in
      let hasEnded = control.notify { control in
        control.isShuttingDown = true
        if !control.hasEnded { control.shutdownWaiters.append(continuation) }
        return control.hasEnded
      }
      if hasEnded { continuation.resume() }
    }
  }

  // MARK: The engine thread's side

  private enum Turn {
    case start([GenerationJob])
    case end
  }

  /// The requests to start now, at most `free`, beside sequences that take `cacheBytes`; nil when the engine is to end.
  ///
  /// Blocks while there are none, if `mayWait`, until something changes or the time `deadline` has come. The signal is
  /// taken before the caller looks at its channels, so that a change during the look ends the next wait at once.
  func nextJobs(
    free: Int,
    cacheBytes: Int,
    mayWait: Bool,
    until deadline: ContinuousClock.Instant?
  ) -> [GenerationJob]? {
    let turn = control.wait(until: deadline) { control -> Turn? in
      if control.isShuttingDown { return .end }
      dropCancelled(&control)
      // In their order: one that does not fit yet is not passed by smaller ones for ever.
      var room = limits.cacheBytesMax - cacheBytes
      let jobs = Array(
        control.waiting.prefix(free).prefix { job in
          room -= job.cacheBytes
          return room >= 0
        }
      )
      guard !jobs.isEmpty || control.isSignaled || !mayWait else { return nil }
      control.waiting.removeFirst(jobs.count)
      control.isSignaled = false
      control.rounds += 1
      return .start(jobs)
    }
    switch turn {
    case .start(let jobs): return jobs
    case .end: return nil
    case nil: return []
    }
  }

  /// Ends what waits, and tells those who wait for the end.
  func end() {
    let (jobs, waiters) = control.notify { control in
      defer {
        control.waiting = []
        control.shutdownWaiters = []
        control.hasEnded = true
      }
      return (control.waiting, control.shutdownWaiters)
    }
    for job in jobs { job.channel.finish(throwing: Self.shutDownError) }
    for waiter in waiters { waiter.resume() }
  }

  /// Changes the counters.
  func count(_ change: (inout EngineStatus) -> Void) { counters.count(change) }

  /// Tells what was measured.
  func observe(_ observation: EngineObservation) { counters.observe(observation) }

  static let shutDownError = GenerationError(.shutDown, "the engine was shut down")

  private func dropCancelled(_ control: inout Control) {
    let before = control.waiting.count
    control.waiting.removeAll { $0.channel.isCancelled }
    let dropped = before - control.waiting.count
    if dropped > 0 { count { $0.cancelled += dropped } }
  }
}
