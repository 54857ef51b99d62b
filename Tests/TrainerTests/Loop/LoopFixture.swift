import Tensors
import Testing

@testable import Trainer

/// A task that a `LinearNetwork` learns: id n has the label n % 3, but for some noise.
struct LoopFixture {
  var configuration: TrainingConfiguration
  var data: TaskData
  let folder: TemporaryFolder
  let threads = ThreadPool(threadCount: 1)
  static let idCount = 30
  static let labels = ["O", "B-X", "I-X"]

  init(
    rows: Int = 60,
    settings: [String: String] = [:],
    hasDev: Bool = true
  ) throws {
    let defaults = [
      "epochs": "3", "batchSize": "4", "learningRate": "0.1", "checkpointSteps": "4",
      "microbatchTokens": "64",
    ]
    configuration = try TrainingConfiguration(
      task: .ner,
      settings: defaults.merging(settings) { $1 }
    )
    folder = try TemporaryFolder()
    var data = TaskData(
      train: .fixed(Self.examples(rows, seed: 1)),
      labels: Self.labels,
      isEntities: true
    )
    if hasDev { data.dev = Self.examples(20, seed: 2) }
    data.digest = "data"
    self.data = data
  }

  static func examples(_ count: Int, seed: UInt64) -> ExampleSet {
    var random = RandomStream(seed: seed, .order, 0)
    var examples = ExampleSet()
    for _ in 0..<count {
      let ids = (0..<2 + random.next(below: 9)).map { _ in UInt32(random.next(below: idCount)) }
      let labels = ids.map { id -> UInt32 in
        let kind = random.nextUnit()
        return kind < 0.1 ? ExampleSet.ignored : kind < 0.2 ? 0 : id % 3
      }
      examples.append(ids: ids, labels: labels)
    }
    return examples
  }

  /// A loop over a new network, in the fixture's folder or another.
  func loop(
    network: LinearNetwork = LinearNetwork(ids: idCount, classes: labels.count),
    folder: String? = nil,
    identity: TrainingState.Identity? = nil,
    onEvent: @escaping (TrainingEvent) -> Void = { _ in },
    isCancelled: @escaping () -> Bool = { false }
  ) throws -> TrainingLoop {
    try TrainingLoop(
      task: .ner,
      configuration: configuration,
      data: data,
      network: network,
      checkpoints: try CheckpointFolder(path: folder ?? self.folder.path),
      identity: try identity
        ?? .init(
          configuration: Digest.of(configuration),
          data: data.digest,
          model: "linear"
        ),
      peakLearningRate: configuration.peakLearningRate(task: .ner, isFromScratch: false),
      threads: threads,
      // The loop writes to the fixture's folder, which goes with its last holder.
      onEvent: { [kept = self.folder] event in withExtendedLifetime(kept) { onEvent(event) } },
      isCancelled: isCancelled
    )
  }

  /// The table of an unbroken run in a folder of its own, and its events.
  func unbroken() throws -> (table: [Float], events: [TrainingEvent]) {
    let folder = try TemporaryFolder()
    let network = LinearNetwork(ids: Self.idCount, classes: Self.labels.count)
    let events = Events()
    let loop = try loop(network: network, folder: folder.path, onEvent: events.append)
    try withExtendedLifetime(folder) { try loop.run() }
    return (network.table, events.all)
  }
}

/// Collects events.
final class Events {
  private(set) var all: [TrainingEvent] = []

  func append(_ event: TrainingEvent) { all.append(event) }

  /// The steps' losses.
  var losses: [Double] {
    all.compactMap { if case .step(_, _, let loss, _, _, _) = $0 { loss } else { nil } }
  }

  var rates: [Double] {
    all.compactMap { if case .step(_, _, _, let rate, _, _) = $0 { rate } else { nil } }
  }

  /// The steps and metrics of evaluations.
  var evaluations: [(step: Int, metrics: [String: Double])] {
    all.compactMap {
      if case .evaluated(let step, _, _, let metrics) = $0 { (step, metrics) } else { nil }
    }
  }

  var checkpoints: [Int] {
    all.compactMap { if case .checkpointed(let step) = $0 { step } else { nil } }
  }

  /// Events that do not depend on the clock.
  static func timeless(_ events: [TrainingEvent]) -> [TrainingEvent] {
    events.map { event in
      guard case .step(let step, let epoch, let loss, let rate, let norm, _) = event else {
        return event
      }
      return .step(
        step: step,
        epoch: epoch,
        loss: loss,
        learningRate: rate,
        gradientNorm: norm,
        tokensPerSecond: 0
      )
    }
  }
}
