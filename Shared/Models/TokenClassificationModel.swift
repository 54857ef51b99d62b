package import Checkpoints
import Synchronization
package import Tensors

/// An encoder that scores the labels of each token.
///
/// `logits` may be called from several threads; calls run one after another. It blocks for its turn
/// and for the products, so it must not be called on a thread of the cooperative pool.
package final class TokenClassificationModel: Sendable {
  /// What `config.json` says.
  package let configuration: ModelConfiguration
  /// The names of the labels, by the index of their logit.
  package var labels: [String] { configuration.labels }
  /// Bytes of the weights in memory.
  package var weightBytes: Int { model.weightBytes }
  /// Bytes of intermediate values of the largest call.
  package var arenaBytes: Int { model.programs.map(\.peakBytes).max() ?? 0 }

  private let model: LoadedModel
  private let positions: [UInt32]
  private let executor: Mutex<Executor>

  /// Loads `config.json` and `model.safetensors` from `folder`; products run on `threads`.
  ///
  /// Throws `invalidModel`, `unsupported` or `memoryLimit`.
  package init(
    folder: String,
    threads: ThreadPool,
    limits: ModelLimits = ModelLimits()
  ) throws(ModelError) {
    model = try LoadedModel(
      folder: folder,
      task: .tokenClassification,
      threads: threads,
      limits: limits,
      rowsMax: { $0.contextTokens }
    )
    configuration = model.configuration
    positions = (0..<UInt32(model.rowsMax)).map { $0 }
    let executor = Executor(threads: threads, arenaBytesMax: limits.arenaBytesMax)
    do throws(TensorError) {
      // The largest first: the arena then never grows.
      for program in model.programs.reversed() { try executor.load(program) }
    } catch {
      throw ModelError(error, "arena")
    }
    self.executor = Mutex(executor)
  }

  /// The logits `[ids.count, labels.count]`, f32, row-major, of one text of 1 to `contextTokens`
  /// tokens with its special tokens.
  ///
  /// Throws `invalidInput` for another length or an id outside the vocabulary.
  package func logits(_ ids: [UInt32]) throws(ModelError) -> [Float] {
    guard (1...configuration.contextTokens).contains(ids.count) else {
      throw ModelError(
        .invalidInput,
        "token classification: \(ids.count) tokens, 1 to \(configuration.contextTokens) fit"
      )
    }
    for id in ids where Int(id) >= configuration.vocabularySize {
      throw ModelError(
        .invalidInput,
        "token classification: token \(id), the vocabulary is \(configuration.vocabularySize)"
      )
    }
    return try executor.withLock { executor throws(ModelError) in
      do throws(TensorError) {
        return try run(ids, executor)
      } catch {
        throw ModelError(error, "token classification")
      }
    }
  }

  private func run(_ ids: [UInt32], _ executor: Executor) throws(TensorError) -> [Float] {
    try executor.load(model.program(rows: ids.count))
    try ids.withUnsafeBufferPointer { buffer throws(TensorError) in
      try executor.setInput(0, buffer)
    }
    try positions.withUnsafeBufferPointer { buffer throws(TensorError) in
      try executor.setInput(1, UnsafeBufferPointer(rebasing: buffer[..<ids.count]))
    }
    try executor.run(liveRows: ids.count)
    return Array(executor.output(0, liveRows: ids.count))
  }
}
