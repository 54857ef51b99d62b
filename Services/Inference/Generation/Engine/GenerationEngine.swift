package import Models
internal import Tensors
package import Tokenizers

/// Generates texts with one model: a thread of its own, a bounded queue, several sequences in turns.
///
/// Its methods may be called from any task and do not wait for the model. An engine that is dropped ends as
/// if it were shut down.
package final class GenerationEngine: Sendable {
  let core: EngineCore

  /// Starts the engine thread; throws `unavailable` when the system has no thread to give.
  ///
  /// The engine must be the only one who runs `model`. What it does is counted in `counters`.
  package convenience init(
    model: CausalLanguageModel,
    tokenizer: Tokenizer,
    limits: EngineLimits = EngineLimits(),
    counters: EngineCounters = EngineCounters()
  ) throws(GenerationError) {
    try self.init(
      CausalSequenceModel(model: model),
      tokenizer: tokenizer,
      limits: limits,
      counters: counters
    )
  }

  init(
    _ model: any SequenceModel,
    tokenizer: Tokenizer,
    limits: EngineLimits,
    counters: EngineCounters = EngineCounters()
  ) throws(GenerationError) {
    let core = EngineCore(model: model, tokenizer: tokenizer, limits: limits, counters: counters)
    self.core = core
    try EngineThread.start {
      let loop = EngineLoop(core)
      loop.run()
    }
  }

  deinit { core.control.notify { $0.isShuttingDown = true } }

  /// Queues a request; its stream yields texts, then `finished`.
  ///
  /// Throws `contextExceeded` or `invalidArgument` for a prompt that the model cannot take, `overloaded`
  /// when the queue is full, `shutDown`. Reading the stream throws `modelFailure`, `overloaded`,
  /// `readerStalled`, `shutDown` or `CancellationError`.
  package func generate(_ request: GenerationRequest) throws(GenerationError) -> GenerationStream {
    try request.check(
      vocabularySize: core.model.vocabularySize,
      contextTokens: core.contextTokens
    )
    return GenerationStream(try core.submit(request))
  }

  /// The most bytes that the KV caches of running sequences may reserve.
  package var cacheBytesMax: Int { core.limits.cacheBytesMax }

  /// What the engine is doing and has done, with all who share its counters; cheap.
  package var status: EngineStatus { core.status }

  /// Ends all generations with `shutDown` and the engine thread; returns when it has ended.
  package func shutdown() async { await core.shutdown() }
}
