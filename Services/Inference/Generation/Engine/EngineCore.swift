internal import Synchronization
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
  let control = Monitor(Control())
  private let counters = Mutex(EngineStatus())

  init(model: any SequenceModel, tokenizer: Tokenizer, limits: EngineLimits) {
    precondition(
      limits.activeMax > 0 && limits.waitingMax > 0 && limits.bufferedEventsMax > 0
        && limits.prefillTokensMax > 0,
      "engine limits must be positive"
    )
    self.model = model
    self.tokenizer = tokenizer
    self.limits = limits
  }

  // MARK: The callers' side

  /// Queues a request that was checked.
  func submit(_ request: GenerationRequest) throws(GenerationError) -> EventChannel {
    let control = control
    let channel = EventChannel(capacity: limits.bufferedEventsMax) {
      control.notify { $0.isSignaled = true }
    }
    let refusal: GenerationError? = control.notify { control in
      guard !control.isShuttingDown else { return Self.shutDownError }
      dropCancelled(&control)
      guard control.waiting.count < limits.waitingMax else {
        return GenerationError(
          .overloaded,
          "\(limits.activeMax) generations run and \(limits.waitingMax) wait; no more are accepted"
        )
      }
      control.waiting.append(GenerationJob(request: request, channel: channel))
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
    var status = counters.withLock { $0 }
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

  /// The requests to start now, at most `free`; nil when the engine is to end.
  ///
  /// Blocks while there are none, if `mayWait`, until something changes. The signal is taken before the
  /// caller looks at its channels, so that a change during the look ends the next wait at once.
  func nextJobs(free: Int, mayWait: Bool) -> [GenerationJob]? {
    control.wait { control -> [GenerationJob]?? in
      if control.isShuttingDown { return .some(nil) }
      dropCancelled(&control)
      let jobs = Array(control.waiting.prefix(free))
      guard !jobs.isEmpty || control.isSignaled || !mayWait else { return .none }
      control.waiting.removeFirst(jobs.count)
      control.isSignaled = false
      control.rounds += 1
      return .some(jobs)
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
  func count(_ change: (inout EngineStatus) -> Void) { counters.withLock { change(&$0) } }

  static let shutDownError = GenerationError(.shutDown, "the engine was shut down")

  private func dropCancelled(_ control: inout Control) {
    let before = control.waiting.count
    control.waiting.removeAll { $0.channel.isCancelled }
    let dropped = before - control.waiting.count
    if dropped > 0 { count { $0.cancelled += dropped } }
  }
}
