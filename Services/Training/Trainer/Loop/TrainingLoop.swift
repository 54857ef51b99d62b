internal import Models
internal import Optimizers
internal import Tensors

/// Trains a network on data: steps, evaluations, checkpoints.
///
/// What it does in a step depends on the configuration, the data and the step's number alone.
final class TrainingLoop {
  let task: TrainingTask
  let configuration: TrainingConfiguration
  let data: TaskData
  let network: any TrainableNetwork
  let checkpoints: CheckpointFolder
  private let optimizer: OptimizerDriver
  private let schedule: LearningRateSchedule
  private let peakLearningRate: Double
  /// Steps of all epochs.
  let totalSteps: Int
  /// Steps of one point of the learning curve.
  private let curveSteps: Int
  /// Steps of which the last evaluation and the best are kept.
  private let evaluationSlotSteps: Int
  /// The step of the newest checkpoint.
  private var checkpointedStep = 0
  private(set) var state: TrainingState
  private let onEvent: (TrainingEvent) -> Void
  private let isCancelled: () -> Bool

  /// Points of a learning curve.
  private static let curvePointsMax = 1_000
  /// Parts of a run of which evaluations are kept.
  private static let evaluationSlotsMax = 1_000

  init(
    task: TrainingTask,
    configuration: TrainingConfiguration,
    data: TaskData,
    network: any TrainableNetwork,
    checkpoints: CheckpointFolder,
    identity: TrainingState.Identity,
    peakLearningRate: Double,
    threads: ThreadPool,
    onEvent: @escaping (TrainingEvent) -> Void,
    isCancelled: @escaping () -> Bool
  ) throws(TrainerError) {
    self.task = task
    self.configuration = configuration
    self.data = data
    self.network = network
    self.checkpoints = checkpoints
    self.onEvent = onEvent
    self.isCancelled = isCancelled
    self.peakLearningRate = peakLearningRate
    totalSteps = (0..<configuration.epochs).reduce(0) { steps, epoch in
      steps + EpochPlan.steps(count: data.train.count(epoch: epoch), configuration)
    }
    curveSteps = max(1, totalSteps / Self.curvePointsMax)
    evaluationSlotSteps = max(
      1,
      (totalSteps + Self.evaluationSlotsMax - 1) / Self.evaluationSlotsMax
    )
    state = TrainingState(identity: identity)
    optimizer = try OptimizerDriver(network.parameterBuffers, configuration, threads: threads)
    schedule = try Self.schedule(configuration, peak: peakLearningRate, totalSteps: totalSteps)
  }

  private static func schedule(
    _ configuration: TrainingConfiguration,
    peak: Double,
    totalSteps: Int
  ) throws(TrainerError) -> LearningRateSchedule {
    let warmup = configuration.warmupSteps(totalSteps: totalSteps)
    do throws(OptimizerError) {
      switch configuration.schedule {
      case .linear:
        return try LearningRateSchedule(
          peak: peak,
          decay: .linear,
          warmUp: .before(steps: warmup),
          totalSteps: totalSteps
        )
      case .constant:
        return try LearningRateSchedule(
          peak: peak,
          decay: .constant,
          warmUp: .before(steps: warmup),
          totalSteps: totalSteps
        )
      case .cosine:
        return try LearningRateSchedule(
          peak: peak,
          decay: .cosine(floor: configuration.scheduleFloor),
          warmUp: .over(steps: warmup),
          totalSteps: totalSteps
        )
      }
    } catch {
      throw TrainerError(error)
    }
  }

  /// Goes on from the newest checkpoint, if there is one, and trains to the end.
  ///
  /// In the end the network has the weights to keep.
  func run() throws(TrainerError) {
    try resume()
    while state.epoch < configuration.epochs, !state.isStopped { try trainEpoch() }
    if let step = state.bestWeightsStep, step != state.step {
      try loadParameters(try checkpoints.readBest(step: step))
    }
  }

  private func resume() throws(TrainerError) {
    guard let found = try checkpoints.newest(of: state.identity) else { return }
    for path in found.damaged {
      onEvent(.notice("the checkpoint \(path) is damaged; it is removed"))
    }
    try loadParameters(found.content)
    try optimizer.restore(found.state, found.content)
    state = found.state
    checkpointedStep = state.step
    onEvent(.resumed(step: state.step, epoch: epochs(of: nil)))
  }

  private func trainEpoch() throws(TrainerError) {
    let examples = try data.train.examples(epoch: state.epoch)
    let plan = EpochPlan(lengths: examples.lengths, epoch: state.epoch, configuration)
    let evaluationSteps = Self.evaluationSteps(plan.steps, configuration)
    while state.epochStep < plan.steps, !state.isStopped {
      guard !isCancelled() else {
        keepSteps()
        throw .cancelled
      }
      try step(examples, plan)
      var hasNewBest = false
      if let dev = data.dev, evaluationSteps.contains(state.epochStep) {
        hasNewBest = try evaluateDev(dev, plan) && configuration.keepBest
      }
      let isDue =
        configuration.checkpointSteps > 0
        && state.step.isMultiple(of: configuration.checkpointSteps)
      if state.epochStep < plan.steps, isDue || hasNewBest { try writeCheckpoint() }
    }
    state.epoch += 1
    state.epochStep = 0
    state.epochLossSum = 0
    try writeCheckpoint()
  }

  /// After which steps of an epoch dev is evaluated; its last step is one of them.
  private static func evaluationSteps(
    _ steps: Int,
    _ configuration: TrainingConfiguration
  ) -> Set<Int> {
    let count = configuration.evaluationsPerEpoch
    guard count > 0 else { return [] }
    return Set((1...count).map { max(1, ($0 * steps + count / 2) / count) })
  }

  /// The epochs done, with the fraction of the one that runs where its plan is given.
  private func epochs(of plan: EpochPlan?) -> Double {
    Double(state.epoch) + (plan.map { Double(state.epochStep) / Double($0.steps) } ?? 0)
  }

  private func step(_ examples: ExampleSet, _ plan: EpochPlan) throws(TrainerError) {
    let clock = ContinuousClock()
    let start = clock.now
    let group = plan.group(state.epochStep)
    let labelled = examples.labelledCount(group)
    let parts = examples.parts(group, tokensMax: configuration.microbatchTokens)
    let batches = parts.enumerated().map { part, sequences in
      examples.batch(sequences, seed: dropoutSeed(part: part))
    }
    let rate = schedule.learningRate(at: state.step)
    var (loss, norm) = (0.0, 0.0)
    // A step whose rows were all cut to nothing that counts teaches nothing.
    if labelled > 0 {
      let (network, dropout) = (network, Float(configuration.dropout))
      let scale = 1 / Float(labelled)
      do throws(TrainerError) {
        (loss, norm) = try optimizer.step(learningRate: rate) { () throws(TrainerError) in
          var loss = 0.0
          for batch in batches {
            loss += Double(
              try network.accumulateGradients(batch, scale: scale, dropout: dropout)
            )
          }
          return loss
        }
      } catch  where error.code == .diverged {
        throw TrainerError(
          .diverged,
          "step \(state.step + 1), learning rate \(rate): \(error.message); a lower learningRate "
            + "or a longer warmup may help",
          cause: error
        )
      }
    }
    count(loss: loss, rate: rate, isLast: state.epochStep + 1 == plan.steps)
    let seconds = start.duration(to: clock.now) / .seconds(1)
    let tokens = group.reduce(0) { $0 + examples.length($1) }
    onEvent(
      .step(
        step: state.step,
        epoch: epochs(of: plan),
        loss: loss,
        learningRate: rate,
        gradientNorm: norm,
        tokensPerSecond: seconds > 0 ? Double(tokens) / seconds : 0
      )
    )
  }

  private func dropoutSeed(part: Int) -> UInt64 {
    var stream = RandomStream(
      seed: configuration.seed,
      .dropout,
      UInt64(state.step) << 20 | UInt64(part)
    )
    return stream.next()
  }

  private func count(loss: Double, rate: Double, isLast: Bool) {
    state.step += 1
    state.epochStep += 1
    state.epochLossSum += loss
    state.lossSum += loss
    state.lossCount += 1
    guard state.lossCount >= curveSteps || isLast else { return }
    let mean = state.lossSum / Double(state.lossCount)
    state.curve.append(.init(step: state.step, loss: mean, learningRate: rate))
    state.lossSum = 0
    state.lossCount = 0
  }

  // MARK: Evaluation

  /// Evaluates dev and notes what follows from it; whether it is the best so far.
  private func evaluateDev(_ dev: ExampleSet, _ plan: EpochPlan) throws(TrainerError) -> Bool {
    let report = try evaluate(dev, step: state.step)
    let metric = configuration.selection(task: task, isEntities: data.isEntities)
    let value = report.metrics[metric.name].flatMap { $0.isFinite ? $0 : nil }
    let isBetter = value.map { value in
      state.best.map { metric.isBetter(value, than: $0.value) } ?? true
    }
    let evaluation = tell(report.metrics, .dev, step: state.step, epoch: epochs(of: plan))
    state.keep(evaluation, isBest: isBetter == true, slotSteps: evaluationSlotSteps)
    guard let value, let isBetter else { return false }
    guard isBetter else {
      state.evaluationsWithoutGain += 1
      let isOver = state.evaluationsWithoutGain >= configuration.patience
      if configuration.patience > 0, isOver, state.step < totalSteps {
        state.isStopped = true
        onEvent(.stoppedEarly(step: state.step, bestStep: state.best?.step ?? 0))
      }
      return false
    }
    state.best = TrainingState.Best(step: state.step, epoch: epochs(of: plan), value: value)
    state.evaluationsWithoutGain = 0
    if configuration.keepBest {
      try checkpoints.writeBest(step: state.step, parameterArrays)
      state.bestWeightsStep = state.step
    }
    return true
  }

  /// Evaluates the weights that are kept, for the last report.
  func evaluateFinal(_ split: Split) throws(TrainerError) -> EvaluationReport? {
    guard let examples = split == .test ? data.test : data.dev else { return nil }
    let report = try evaluate(examples, step: keptStep)
    let best = configuration.keepBest ? state.best : nil
    let epoch = best?.epoch ?? epochs(of: nil)
    state.evaluations.append(tell(report.metrics, split, step: keptStep, epoch: epoch))
    return report
  }

  /// The step of the weights that are kept.
  var keptStep: Int { state.bestWeightsStep ?? state.step }

  private func tell(
    _ metrics: [String: Double],
    _ split: Split,
    step: Int,
    epoch: Double
  ) -> TrainingState.Evaluation {
    onEvent(.evaluated(step: step, epoch: epoch, split: split, metrics: metrics))
    return TrainingState.Evaluation(
      step: step,
      epoch: epoch,
      split: split,
      metrics: metrics.filter(\.value.isFinite)
    )
  }

  /// Scores all sequences with the weights of `step`, batch by batch: no logits are kept.
  private func evaluate(
    _ examples: ExampleSet,
    step: Int
  ) throws(TrainerError) -> EvaluationReport {
    var evaluator = Evaluator(
      task: task,
      labels: data.labels + data.unseenLabels,
      isEntities: data.isEntities
    )
    let all = Array(0..<examples.count)
    for part in examples.parts(all[...], tokensMax: configuration.microbatchTokens) {
      guard !isCancelled() else { throw .cancelled }
      let batch = examples.batch(part)
      let logits = try network.evaluatedLogits(data.known(batch))
      try evaluator.add(logits, columns: logits.count / batch.rows, batch)
    }
    do throws(TrainerError) {
      return try evaluator.report()
    } catch  where error.code == .diverged {
      // Says more, where it is the weights.
      try network.requireFinite(savedAs: .f32)
      throw TrainerError(.diverged, "after step \(step): \(error.message)", cause: error)
    }
  }

  // MARK: Checkpoints

  private static let parameterPrefix = "parameter/"

  private var parameterArrays: CheckpointFolder.Arrays {
    network.parameterBuffers.map {
      (Self.parameterPrefix + $0.name, UnsafeBufferPointer($0.values))
    }
  }

  private func writeCheckpoint() throws(TrainerError) {
    var arrays = parameterArrays
    optimizer.save(to: &state) { arrays.append(($0, $1)) }
    try checkpoints.write(state, arrays)
    checkpointedStep = state.step
    onEvent(.checkpointed(step: state.step))
  }

  /// Writes a checkpoint of the steps that none has yet, as well as it can: the run ends anyway.
  private func keepSteps() {
    guard state.step > checkpointedStep else { return }
    do throws(TrainerError) {
      try writeCheckpoint()
    } catch {
      onEvent(.notice("the steps after \(checkpointedStep) are lost: \(error.message)"))
    }
  }

  private func loadParameters(_ content: CheckpointFile.Content) throws(TrainerError) {
    for parameter in network.parameterBuffers {
      guard let bytes = content.arrays[Self.parameterPrefix + parameter.name],
        bytes.count == parameter.values.count * MemoryLayout<Float>.stride
      else {
        throw TrainerError(.internal, "the checkpoint has no parameter \(parameter.name) that fits")
      }
      UnsafeMutableRawBufferPointer(parameter.values).copyMemory(from: bytes)
    }
  }
}
