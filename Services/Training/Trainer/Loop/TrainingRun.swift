internal import Checkpoints
import Files
internal import Models
internal import Tensors

/// A training run: from rows and a base model to a model folder and reports.
///
/// The work folder holds `checkpoint/`, and in the end `model/` and `reports/`. A run whose work
/// folder has a checkpoint goes on from it, and ends with the weights that an unbroken run ends
/// with, bit for bit, if the number of threads is the same.
///
/// `run` blocks for as long as training takes: call it from a thread of its own, once.
package final class TrainingRun {
  private let task: TrainingTask
  private let configuration: TrainingConfiguration
  private let input: TrainingInput
  private let workFolder: String
  private let threads: Int
  private let memoryLimit: Int?

  /// Checks the settings and where the model comes from; reads nothing yet.
  ///
  /// - Parameters:
  ///   - task: what is trained.
  ///   - configuration: the settings.
  ///   - input: the data and the base model.
  ///   - workFolder: a folder of this run alone; it is made if it is not there.
  ///   - threads: threads that compute.
  ///   - memoryLimit: bytes that the run may take; nil for no limit.
  /// - Throws: `invalidConfiguration`, `invalidModel`.
  package init(
    task: TrainingTask,
    configuration: TrainingConfiguration,
    input: TrainingInput,
    workFolder: String,
    threads: Int,
    memoryLimit: Int? = nil
  ) throws(TrainerError) {
    try configuration.validate(task: task)
    guard input.baseModel != nil || task == .chat else {
      throw TrainerError(
        .invalidModel,
        "\(task.rawValue) needs a base model: only chat trains from scratch"
      )
    }
    guard threads >= 1, threads <= ThreadPool.threadCountMax else {
      throw TrainerError(
        .invalidConfiguration,
        "\(threads) threads: 1...\(ThreadPool.threadCountMax) can compute"
      )
    }
    self.task = task
    self.configuration = configuration
    self.input = input
    self.workFolder = workFolder
    self.threads = threads
    self.memoryLimit = memoryLimit
  }

  /// Trains to the end.
  ///
  /// - Parameters:
  ///   - onEvent: told what happens, on the calling thread.
  ///   - isCancelled: asked between steps; true ends the run with a checkpoint, from which it can
  ///     be resumed. During an evaluation the run ends without one.
  /// - Returns: where the model and the reports are.
  /// - Throws: any code of `TrainerError`; checkpoints stay in the work folder.
  package func run(
    onEvent: @escaping (TrainingEvent) -> Void = { _ in },
    isCancelled: @escaping () -> Bool = { false }
  ) throws(TrainerError) -> TrainingResult {
    let pool = ThreadPool(threadCount: threads)
    let prepared = try Preparation(
      task: task,
      configuration: configuration,
      input: input,
      threads: pool,
      memoryLimit: memoryLimit,
      isCancelled: isCancelled
    )
    let loop = try TrainingLoop(
      task: task,
      configuration: configuration,
      data: prepared.data,
      network: prepared.model,
      checkpoints: try CheckpointFolder(path: Self.checkpointFolder(workFolder)),
      identity: prepared.identity,
      peakLearningRate: configuration.peakLearningRate(
        task: task,
        isFromScratch: input.baseModel == nil
      ),
      threads: pool,
      onEvent: onEvent,
      isCancelled: isCancelled
    )
    let summary = prepared.data.summary
    onEvent(
      .prepared(
        rows: summary.rows[Split.train.rawValue] ?? 0,
        tokens: summary.tokens[Split.train.rawValue] ?? 0,
        steps: loop.totalSteps,
        estimate: prepared.estimate
      )
    )
    for notice in summary.notices(tokensMax: configuration.tokensMax) { onEvent(.notice(notice)) }
    try loop.run()
    return try finish(prepared, loop)
  }

  private static func checkpointFolder(_ workFolder: String) -> String {
    "\(workFolder)/checkpoint"
  }

  /// Removes the checkpoints of a run whose result is safe elsewhere.
  package static func removeCheckpoints(workFolder: String) throws(TrainerError) {
    try FileSystem.removeTree(checkpointFolder(workFolder))
  }

  /// Evaluates the weights that are kept, and writes model and reports.
  private func finish(
    _ prepared: Preparation,
    _ loop: TrainingLoop
  ) throws(TrainerError) -> TrainingResult {
    try prepared.model.requireFinite(savedAs: configuration.saveDtype)
    let split: Split = prepared.data.test == nil ? .dev : .test
    let evaluation = try loop.evaluateFinal(split)
    let model = "\(workFolder)/model"
    let temporary = "\(workFolder)/model.tmp"
    try FileSystem.removeTree(temporary)
    try FileSystem.createDirectories(temporary)
    do throws(ModelError) {
      try prepared.model.save(
        folder: temporary,
        elementType: configuration.saveDtype == .bf16 ? .bfloat16 : .float32
      )
    } catch {
      throw TrainerError(.storage, error.message, cause: error)
    }
    try prepared.tokenizerFiles.write(to: temporary)
    try FileSystem.syncDirectory(temporary)
    try FileSystem.removeTree(model)
    try FileSystem.rename(temporary, to: model)
    let report = RunReport(
      task: task,
      configuration: configuration,
      identity: prepared.identity,
      data: prepared.data.summary,
      labels: prepared.data.labels,
      steps: loop.state.step,
      keptStep: loop.keptStep,
      metrics: (evaluation?.metrics ?? [:]).filter(\.value.isFinite),
      evaluations: loop.state.evaluations,
      curve: loop.state.curve
    )
    return TrainingResult(
      modelFolder: model,
      metrics: evaluation?.metrics ?? [:],
      reports: try writeReports(report, evaluation, prepared.data),
      step: loop.keptStep
    )
  }

  private func writeReports(
    _ report: RunReport,
    _ evaluation: EvaluationReport?,
    _ data: TaskData
  ) throws(TrainerError) -> [String: String] {
    let folder = "\(workFolder)/reports"
    try FileSystem.removeTree(folder)
    try FileSystem.createDirectories(folder)
    let metric = configuration.selection(task: task, isEntities: data.isEntities).name
    var files = evaluation?.files ?? [:]
    files["run.json"] = try report.json()
    files["learning-curve.svg"] = report.learningCurve(metric: metric)
    var paths: [String: String] = [:]
    for (name, content) in files {
      try FileSystem.write(content.utf8, to: "\(folder)/\(name)")
      paths[name] = "\(folder)/\(name)"
    }
    try FileSystem.syncDirectory(folder)
    return paths
  }
}
