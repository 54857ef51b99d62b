import Models
import Testing

@testable import Trainer

@Suite("The training loop")
struct TrainingLoopTests {
  @Test("training lowers the loss and finds the entities")
  func learns() throws {
    let fixture = try LoopFixture(settings: ["epochs": "8"])
    let events = Events()
    try fixture.loop(onEvent: events.append).run()
    let losses = events.losses
    #expect(losses.count == 8 * 15)
    #expect(losses[..<15].reduce(0, +) > 1.5 * losses[(7 * 15)...].reduce(0, +))
    let f1 = try #require(events.evaluations.last?.metrics["f1"])
    #expect(f1 > 0.5)
  }

  @Test("the loss of a step is the mean over the labelled tokens of all its batches")
  func normalization() throws {
    // A network of zeros gives each label the probability 1/3, whatever the batch.
    for settings in [["accumulation": "1"], ["accumulation": "7", "microbatchTokens": "16"]] {
      let fixture = try LoopFixture(
        settings: settings.merging(["learningRate": "1e-9", "epochs": "1", "dropout": "0"]) { $1 }
      )
      let events = Events()
      let network = LinearNetwork(ids: LoopFixture.idCount, classes: 3)
      try fixture.loop(network: network, onEvent: events.append).run()
      #expect(events.losses.allSatisfy { abs($0 - 1.0986) < 1e-3 })
    }
  }

  @Test("accumulated parts make the gradients of one batch, with unequal token counts")
  func accumulation() throws {
    func firstGradients(_ settings: [String: String]) throws -> ([Float], [Int]) {
      let fixture = try LoopFixture(
        settings: settings.merging(
          ["optimizer": "sgd", "warmup": "0", "schedule": "constant", "dropout": "0"]
        ) { $1 },
        hasDev: false
      )
      let network = LinearNetwork(ids: LoopFixture.idCount, classes: 3)
      var steps = 0
      let loop = try fixture.loop(
        network: network,
        onEvent: { if case .step = $0 { steps += 1 } },
        isCancelled: { steps == 1 }
      )
      #expect(throws: TrainerError.self) { try loop.run() }
      return (network.table, network.batches.map(\.rows))
    }
    let (whole, oneBatch) = try firstGradients(["batchSize": "24", "microbatchTokens": "4096"])
    let (parts, smallBatches) = try firstGradients(["batchSize": "24", "microbatchTokens": "16"])
    let (accumulated, _) = try firstGradients([
      "batchSize": "8", "accumulation": "3", "microbatchTokens": "16", "bucketing": "none",
    ])
    let (wholeShuffled, _) = try firstGradients([
      "batchSize": "24", "microbatchTokens": "4096", "bucketing": "none",
    ])
    #expect(oneBatch.count == 1 && smallBatches.count > 5)
    #expect(Set(smallBatches).count > 1)
    for (left, right) in zip(whole + wholeShuffled, parts + accumulated) {
      #expect(abs(left - right) < 1e-7)
    }
    #expect(whole.contains { abs($0) > 1e-3 })
  }

  @Test("learning rates follow the schedule to the last step")
  func schedule() throws {
    let linear = Events()
    try LoopFixture(settings: ["warmup": "0.2"]).loop(onEvent: linear.append).run()
    #expect(linear.rates.count == 45)
    #expect(linear.rates[0] == 0)
    #expect(linear.rates[9] == 0.1)
    #expect(abs(linear.rates[44] - 0.1 / 36) < 1e-12)
    let cosine = Events()
    let settings = ["schedule": "cosine", "scheduleFloor": "0.05", "warmup": "10"]
    try LoopFixture(settings: settings).loop(onEvent: cosine.append).run()
    #expect(cosine.rates[0] == 0.1 * 0.1)
    #expect(cosine.rates[44] < 0.0052 && cosine.rates[44] > 0.005)
  }

  @Test("dev is evaluated where it is asked, the last time at the end of the epoch")
  func evaluations() throws {
    for (count, steps) in [(1, [15, 30, 45]), (2, [8, 15, 23, 30, 38, 45]), (0, [])] {
      let events = Events()
      let fixture = try LoopFixture(settings: ["evaluationsPerEpoch": "\(count)"])
      try fixture.loop(onEvent: events.append).run()
      #expect(events.evaluations.map(\.step) == steps)
    }
  }

  @Test("the best weights are kept, those of the last step where asked")
  func best() throws {
    // The rate grows so much that the result gets worse.
    let settings = [
      "optimizer": "sgd", "momentum": "0", "schedule": "constant", "warmup": "45",
      "learningRate": "9", "weightDecay": "0.2", "clipNorm": "0",
    ]
    let fixture = try LoopFixture(settings: settings)
    let network = LinearNetwork(ids: LoopFixture.idCount, classes: 3)
    let loop = try fixture.loop(network: network)
    try loop.run()
    let bestF1 = try #require(loop.state.best?.value)
    #expect(loop.state.evaluations.compactMap { $0.metrics["f1"] }.max() == bestF1)
    let final = try #require(try loop.evaluateFinal(.dev))
    #expect(final.metrics["f1"] == bestF1)

    let last = try LoopFixture(settings: settings.merging(["keepBest": "false"]) { $1 })
    let lastLoop = try last.loop()
    try lastLoop.run()
    let lastF1 = try #require(lastLoop.state.evaluations.last?.metrics["f1"])
    #expect(try lastLoop.evaluateFinal(.dev)?.metrics["f1"] == lastF1)
    #expect(lastLoop.keptStep == 45)
  }

  @Test("training stops when nothing gets better")
  func earlyStop() throws {
    var fixture = try LoopFixture(settings: ["epochs": "30", "patience": "3"])
    // Ids that training does not have: their rows stay as they are.
    var dev = ExampleSet()
    dev.append(ids: [35, 36] as [UInt32], labels: [1, 2] as [UInt32])
    fixture.data.dev = dev
    let events = Events()
    let network = LinearNetwork(ids: 40, classes: 3)
    let loop = try fixture.loop(network: network, onEvent: events.append)
    try loop.run()
    #expect(events.evaluations.count == 4)
    #expect(events.all.contains(.stoppedEarly(step: 60, bestStep: 15)))
    #expect(loop.keptStep == 15)
  }

  @Test("a loss that is not a number ends the run, naming the step")
  func divergence() throws {
    let network = LinearNetwork(ids: LoopFixture.idCount, classes: 3)
    network.failsAfter = 6
    let loop = try LoopFixture().loop(network: network)
    let error = trainerError { try loop.run() }
    #expect(error?.code == .diverged)
    #expect(error?.message.hasPrefix("step 7, learning rate") == true)
  }

  @Test("an evaluation whose loss is not a number ends the run, naming step or weights")
  func evaluationDivergence() throws {
    // An id that training does not have, so that its loss stays what it is.
    var fixture = try LoopFixture()
    fixture.data.dev?.append(ids: [35] as [UInt32], labels: [1] as [UInt32])
    let network = LinearNetwork(ids: 40, classes: 3)
    network.set(35, .nan)
    let loop = try fixture.loop(network: network)
    let weights = trainerError { try loop.run() }
    #expect(weights?.code == .diverged)
    #expect(weights?.message.hasPrefix("3 of the 120 values of table are not finite") == true)
    var evaluator = Evaluator(task: .classify, labels: ["a", "b"], isEntities: false)
    var batch = PackedBatch()
    batch.append([0], labels: [1])
    try [Float.infinity, 0].withUnsafeBufferPointer { try evaluator.add($0, columns: 2, batch) }
    #expect(trainerError { _ = try evaluator.report() }?.code == .diverged)
  }

  @Test("weights are refused that are not finite in the type in which they are saved")
  func finite() throws {
    let network = LinearNetwork(ids: 4, classes: 3)
    // The largest f32 that bf16 rounds down, and the next.
    network.fill(-Float(bitPattern: 0x7F7F_7FFF))
    try network.requireFinite(savedAs: .bf16)
    network.set(2, -Float(bitPattern: 0x7F7F_8000))
    try network.requireFinite(savedAs: .f32)
    let error = trainerError { try network.requireFinite(savedAs: .bf16) }
    #expect(error?.code == .diverged)
    #expect(error?.message.hasPrefix("3 of the 12 values of table are not finite as bf16") == true)
    for value in [Float.infinity, -.infinity, .nan] {
      network.fill(value)
      #expect(trainerError { try network.requireFinite(savedAs: .f32) }?.code == .diverged)
    }
  }

  @Test("evaluations are few and checkpoints only where asked, however often dev is evaluated")
  func manyEvaluations() throws {
    var fixture = try LoopFixture(
      rows: 1_200,
      settings: [
        "epochs": "1", "batchSize": "1", "evaluationsPerEpoch": "1000", "checkpointSteps": "0",
        "keepBest": "false", "bestMetric": "loss", "learningRate": "1e-3",
      ]
    )
    fixture.data.dev = LoopFixture.examples(2, seed: 2)
    let events = Events()
    let loop = try fixture.loop(onEvent: events.append)
    try loop.run()
    #expect(events.evaluations.count == 1_000)
    #expect(loop.state.evaluations.count <= 602)
    #expect(loop.state.evaluations.contains { $0.step == loop.state.best?.step })
    #expect(events.checkpoints == [1_200])
  }

  @Test("every optimizer trains", arguments: TrainingConfiguration.OptimizerKind.allCases)
  func optimizers(_ optimizer: TrainingConfiguration.OptimizerKind) throws {
    let settings: [String: String] =
      switch optimizer {
      case .adam, .adamw: [:]
      case .sgd: ["learningRate": "2"]
      case .lbfgs: ["learningRate": "0.5", "batchSize": "64"]
      }
    let events = Events()
    let fixture = try LoopFixture(
      settings: settings.merging(["optimizer": optimizer.rawValue]) { $1 }
    )
    try fixture.loop(onEvent: events.append).run()
    #expect(try #require(events.evaluations.last?.metrics["loss"]) < 0.9)
  }
}
