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
    core.count { [active] in
      $0.running -= active.count
      $0.failed += active.count
    }
    for sequence in active { sequence.channel.finish(throwing: EngineCore.shutDownError) }
    active = []
    core.end()
  }

  private mutating func start(_ job: GenerationJob) {
    do {
      active.append(try ActiveSequence(job, model: core.model, tokenizer: core.tokenizer))
      core.count { $0.running += 1 }
    } catch {
      core.count { $0.failed += 1 }
      job.channel.finish(throwing: Self.modelFailure(error))
    }
  }

  /// Steps every sequence that can go on; returns whether any could.
  private mutating func runRound() -> Bool {
    var hasWork = false
    var remaining: [ActiveSequence] = []
    remaining.reserveCapacity(active.count)
    for sequence in active {
      if sequence.channel.isCancelled {
        core.count {
          $0.running -= 1
          $0.cancelled += 1
        }
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
    return hasWork
  }

  /// Ends a sequence whose reader has left no room for too long; returns whether it did.
  private func endIfStalled(_ sequence: ActiveSequence) -> Bool {
    let now = ContinuousClock.now
    let since = sequence.stalledSince ?? now
    sequence.stalledSince = since
    guard now - since >= core.limits.stallMax else { return false }
    core.count {
      $0.running -= 1
      $0.failed += 1
    }
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
      core.count {
        $0.running -= 1
        $0.failed += 1
      }
      sequence.channel.finish(throwing: Self.modelFailure(error))
      return true
    }
    // Counted first: who sees the end of a stream sees it in the counters, too.
    core.count {
      $0.steps += 1
      $0.promptTokens += step.promptTokens
      $0.generatedTokens += step.generatedTokens
      switch step.finish {
      case .stop: $0.finishedByStop += 1
      case .length: $0.finishedByLength += 1
      case nil: return
      }
      $0.running -= 1
    }
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

  private static func modelFailure(_ error: any Error) -> GenerationError {
    if let error = error as? GenerationError { return error }
    if let error = error as? ModelError, error.code == .memoryLimit {
      return GenerationError(.overloaded, error.message, cause: error)
    }
    return GenerationError(.modelFailure, "the model failed: \(error)", cause: error)
  }
}
