internal import Models

/// The engine thread's work: schedule, run, sample, postprocess, round and round.
///
/// Every round steps each sequence once, so that all advance alike. Owns the sequences; lives on the engine
/// thread.
struct EngineLoop: ~Copyable {
  private let core: EngineCore
  /// At most `activeMax`.
  private var active: [ActiveSequence] = []
  private var logits: [Float] = []
  /// Tokens that the round has run.
  private var roundTokens = 0

  init(_ core: EngineCore) { self.core = core }

  /// Runs until the engine is shut down.
  consuming func run() {
    var hasWork = false
    while let jobs = core.nextJobs(
      free: core.limits.activeMax - active.count,
      cacheBytes: active.reduce(0) { $0 + $1.cacheBytes },
      mayWait: !hasWork,
      until: active.compactMap(\.stalledSince).min().map { $0 + core.limits.stallMax }
    ) {
      for job in jobs { start(job) }
      hasWork = runRound()
    }
    for sequence in active {
      leave(sequence) { $0.failed += 1 }
      sequence.channel.finish(throwing: EngineCore.shutDownError)
    }
    active = []
    core.end()
  }

  private mutating func start(_ job: GenerationJob) {
    do {
      let sequence = try ActiveSequence(job, model: core.model, tokenizer: core.tokenizer)
      active.append(sequence)
      core.count {
        $0.running += 1
        $0.cacheBytesReserved += sequence.cacheBytes
      }
      core.observe(.started(queued: sequence.clock.queued))
    } catch {
      core.count { $0.failed += 1 }
      job.channel.finish(throwing: Self.modelFailure(error))
    }
  }

  /// Counts a sequence out, with how it ended.
  private func leave(_ sequence: ActiveSequence, _ change: (inout EngineStatus) -> Void) {
    core.count {
      $0.running -= 1
      $0.cacheBytesReserved -= sequence.cacheBytes
      change(&$0)
    }
  }

  /// Steps every sequence that can go on; returns whether any could.
  private mutating func runRound() -> Bool {
    var hasWork = false
    roundTokens = 0
    var remaining: [ActiveSequence] = []
    remaining.reserveCapacity(active.count)
    for sequence in active {
      if sequence.channel.isCancelled {
        leave(sequence) { $0.cancelled += 1 }
        hasWork = true  // A place is free.
        continue
      }
      guard sequence.channel.hasRoom else {
        if endIfStalled(sequence) {
          hasWork = true  // A place is free.
        } else {
          remaining.append(sequence)
        }
        continue
      }
      sequence.stalledSince = nil
      hasWork = true
      if !runStep(sequence) { remaining.append(sequence) }
    }
    active = remaining
    if roundTokens > 0 { core.observe(.round(tokens: roundTokens)) }
    return hasWork
  }

  /// Ends a sequence whose reader has left no room for too long; returns whether it did.
  private func endIfStalled(_ sequence: ActiveSequence) -> Bool {
    let now = ContinuousClock.now
    let since = sequence.stalledSince ?? now
    sequence.stalledSince = since
    guard now - since >= core.limits.stallMax else { return false }
    leave(sequence) { $0.failed += 1 }
    sequence.channel.finish(
      throwing: GenerationError(
        .readerStalled,
        "the generation was ended: its reader took nothing for \(core.limits.stallMax)"
      )
    )
    return true
  }

  /// Steps one sequence and sends what came of it; returns whether it ended.
  private mutating func runStep(_ sequence: ActiveSequence) -> Bool {
    let step: ActiveSequence.Step
    do {
      step = try sequence.step(prefillTokensMax: core.model.prefillTokensMax, logits: &logits)
    } catch {
      leave(sequence) { $0.failed += 1 }
      sequence.channel.finish(throwing: Self.modelFailure(error))
      return true
    }
    count(step, of: sequence)
    if !step.text.isEmpty { sequence.channel.send(.text(step.text)) }
    guard let reason = step.finish else { return false }
    sequence.channel.send(
      .finished(
        reason,
        promptTokens: sequence.promptTokens,
        completionTokens: sequence.completionTokens
      )
    )
    sequence.channel.finish()
    return true
  }

  /// Counts a step before its events are sent: who sees the end of a stream sees it in the counters, too.
  private mutating func count(_ step: ActiveSequence.Step, of sequence: ActiveSequence) {
    roundTokens += step.promptTokens + step.generatedTokens
    core.count {
      $0.steps += 1
      $0.promptTokens += step.promptTokens
      $0.generatedTokens += step.generatedTokens
    }
    if step.generatedTokens > 0 { core.observe(sequence.noteToken()) }
    guard let reason = step.finish else { return }
    core.observe(.finished(sequence.figures))
    leave(sequence) {
      switch reason {
      case .stop: $0.finishedByStop += 1
      case .length: $0.finishedByLength += 1
      }
    }
  }

  private static func modelFailure(_ error: any Error) -> GenerationError {
    if let error = error as? GenerationError { return error }
    if let error = error as? ModelError, error.code == .memoryLimit {
      return GenerationError(.overloaded, error.message, cause: error)
    }
    return GenerationError(.modelFailure, "the model failed: \(error)", cause: error)
  }
}
