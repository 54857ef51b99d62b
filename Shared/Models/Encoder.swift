internal import Checkpoints
import Synchronization
internal import Tensors

/// A loaded encoder with a classifier, for one text at a time.
///
/// `logits` may be called from several threads; calls run one after another.
final class Encoder: Sendable {
  let configuration: ModelConfiguration
  var weightBytes: Int { model.weightBytes }
  var arenaBytes: Int { model.programs.map(\.peakBytes).max() ?? 0 }

  private let model: LoadedModel
  private let positions: [UInt32]
  private let executor: Mutex<Executor>

  init(
    folder: String,
    task: ModelTask,
    threads: ThreadPool,
    limits: ModelLimits
  ) throws(ModelError) {
    model = try LoadedModel(
      folder: folder,
      task: task,
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

  /// The first `rows` rows of the logits `[ids.count, labels]`.
  func logits(_ ids: [UInt32], rows: Int) throws(ModelError) -> [Float] {
    guard (1...configuration.contextTokens).contains(ids.count) else {
      throw ModelError(
        .invalidInput,
        "\(configuration.task.rawValue): \(ids.count) tokens, 1 to \(configuration.contextTokens) fit"
      )
    }
    for id in ids where Int(id) >= configuration.vocabularySize {
      throw ModelError(
        .invalidInput,
        "\(configuration.task.rawValue): token \(id), the vocabulary is \(configuration.vocabularySize)"
      )
    }
    return try executor.withLock { executor throws(ModelError) in
      do throws(TensorError) {
        return try run(ids, rows, executor)
      } catch {
        throw ModelError(error, configuration.task.rawValue)
      }
    }
  }

  private func run(
    _ ids: [UInt32],
    _ rows: Int,
    _ executor: Executor
  ) throws(TensorError) -> [Float] {
    try executor.load(model.program(rows: ids.count))
    try ids.withUnsafeBufferPointer { buffer throws(TensorError) in
      try executor.setInput(0, buffer)
    }
    try positions.withUnsafeBufferPointer { buffer throws(TensorError) in
      try executor.setInput(1, UnsafeBufferPointer(rebasing: buffer[..<ids.count]))
    }
    try executor.run(liveRows: ids.count)
    return Array(executor.output(0).prefix(rows * configuration.labels.count))
  }
}
