package import Checkpoints
import Synchronization
package import Tensors

/// A decoder that predicts the next token of a sequence.
///
/// The weights are immutable. `forward` has one caller at a time, the engine thread of the model;
/// it blocks, and must not be called on a thread of the cooperative pool. A second caller stops the
/// process: two would corrupt each other's values.
package final class CausalLanguageModel: Sendable {
  /// What `config.json` says: `vocabularySize`, `contextTokens`, `endOfSequenceIDs` and more.
  package let configuration: ModelConfiguration
  /// Bytes of the weights in memory.
  package var weightBytes: Int { model.weightBytes }
  /// Bytes of intermediate values of the largest call.
  package var arenaBytes: Int { model.programs.map(\.peakBytes).max() ?? 0 }

  /// The most tokens that run at once; `forward` cuts longer prompts into pieces of this size.
  package var prefillTokensMax: Int { model.rowsMax }
  /// Bytes of keys and values that a sequence reserves for each token of its capacity.
  package var cacheBytesPerToken: Int {
    2 * configuration.layerCount * configuration.keyValueHeadCount * configuration.headSize
      * DType.float32.byteCount
  }

  private let model: LoadedModel
  private let executor: Executor
  private let positions: Storage
  private let isRunning = Atomic<Bool>(false)

  /// Loads `config.json`, `generation_config.json` and `model.safetensors` from `folder`; products
  /// run on `threads`.
  ///
  /// Throws `invalidModel`, `unsupported` or `memoryLimit`.
  package init(
    folder: String,
    threads: ThreadPool,
    limits: ModelLimits = ModelLimits()
  ) throws(ModelError) {
    model = try LoadedModel(
      folder: folder,
      task: .textGeneration,
      threads: threads,
      limits: limits,
      rowsMax: { max(1, min($0.contextTokens, limits.prefillTokensMax)) }
    )
    configuration = model.configuration
    executor = Executor(threads: threads, arenaBytesMax: limits.arenaBytesMax)
    do throws(TensorError) {
      positions = try Storage(byteCount: model.rowsMax * DType.uint32.byteCount)
      // The largest first: the arena then never grows.
      for program in model.programs.reversed() { try executor.load(program) }
    } catch {
      throw ModelError(error, "arena")
    }
  }

  /// The state of a new sequence, with memory for `capacityTokens` tokens (prompt and answer).
  ///
  /// Throws `invalidInput` for a capacity outside `1...contextTokens`, `memoryLimit`.
  package func makeSequence(capacityTokens: Int) throws(ModelError) -> SequenceState {
    guard (1...configuration.contextTokens).contains(capacityTokens) else {
      throw ModelError(
        .invalidInput,
        "sequence: capacity \(capacityTokens), the context is \(configuration.contextTokens) tokens"
      )
    }
    do throws(TensorError) {
      return SequenceState(
        cache: try KeyValueCache(
          layers: configuration.layerCount,
          kvHeads: configuration.keyValueHeadCount,
          headDim: configuration.headSize,
          capacityTokens: capacityTokens
        ),
        owner: self
      )
    } catch {
      throw ModelError(error, "sequence")
    }
  }

  /// Appends `tokens` to `sequence` and writes the logits of the last position into `logits`,
  /// `[vocabularySize]` f32 (made that long if it is not).
  ///
  /// O(tokens * sequence length).
  ///
  /// Throws `invalidInput` for no tokens or one outside the vocabulary, `capacityExceeded` when the
  /// sequence has no room; the sequence is then as before.
  package func forward(
    _ tokens: [UInt32],
    in sequence: SequenceState,
    logits: inout [Float]
  ) throws(ModelError) {
    let wasRunning = isRunning.exchange(true, ordering: .acquiring)
    precondition(!wasRunning, "forward has one caller at a time")
    defer { isRunning.store(false, ordering: .releasing) }
    precondition(sequence.owner === self, "a sequence of another model")
    try check(tokens, sequence)
    if logits.count != configuration.vocabularySize {
      logits = [Float](repeating: 0, count: configuration.vocabularySize)
    }
    var start = 0
    while start < tokens.count {
      let end = min(tokens.count, start + model.rowsMax)
      try run(tokens, start..<end, sequence.cache)
      start = end
    }
    _ = logits.withUnsafeMutableBufferPointer {
      $0.update(fromContentsOf: executor.output(0))
    }
  }

  private func check(_ tokens: [UInt32], _ sequence: SequenceState) throws(ModelError) {
    guard !tokens.isEmpty else { throw ModelError(.invalidInput, "forward: no tokens") }
    for token in tokens where Int(token) >= configuration.vocabularySize {
      throw ModelError(
        .invalidInput,
        "forward: token \(token), the vocabulary is \(configuration.vocabularySize)"
      )
    }
    guard tokens.count <= sequence.capacityTokens - sequence.length else {
      throw ModelError(
        .capacityExceeded,
        "forward: \(sequence.length) + \(tokens.count) tokens, the sequence's capacity is "
          + "\(sequence.capacityTokens)"
      )
    }
  }

  private func run(
    _ tokens: [UInt32],
    _ range: Range<Int>,
    _ cache: KeyValueCache
  ) throws(ModelError) {
    let positions = positions.elements(of: UInt32.self)
    for row in 0..<range.count { positions[row] = UInt32(cache.length + row) }
    do throws(TensorError) {
      try executor.load(model.program(rows: range.count))
      try tokens.withUnsafeBufferPointer { buffer throws(TensorError) in
        try executor.setInput(0, UnsafeBufferPointer(rebasing: buffer[range]))
      }
      try executor.setInput(1, UnsafeBufferPointer(rebasing: positions[..<range.count]))
      try executor.run(liveRows: range.count, cache: cache)
    } catch {
      throw ModelError(error, "forward")
    }
    cache.advance(by: range.count)
  }
}

/// The tokens of one sequence that a model has seen, as keys and values.
///
/// Used by one thread at a time, that of its model.
package final class SequenceState: Sendable {
  let cache: KeyValueCache
  let owner: CausalLanguageModel

  fileprivate init(cache: KeyValueCache, owner: CausalLanguageModel) {
    self.cache = cache
    self.owner = owner
  }

  /// Tokens so far.
  package var length: Int { cache.length }
  /// The most tokens that fit.
  package var capacityTokens: Int { cache.capacityTokens }
  /// Bytes reserved for keys and values.
  package var byteCount: Int { cache.byteCount }
}
