/// Which sequences make which batch of an epoch: a function of the seed, the epoch and the lengths.
struct EpochPlan: Sendable, Equatable {
  /// Sequences in the order in which they are used.
  let order: [Int]
  let batchSize: Int
  let accumulation: Int

  /// Batches that are sorted by length together.
  static let windowBatches = 50
  /// Tokens by which lengths are blurred before they are sorted.
  static let noiseTokens = 8.0

  /// Plans `epoch`, which counts from 0, over sequences of `lengths` tokens.
  init(lengths: [Int], epoch: Int, _ configuration: TrainingConfiguration) {
    let batchSize = configuration.batchSize
    self.batchSize = batchSize
    accumulation = configuration.accumulation
    let (seed, number) = (configuration.seed, UInt64(epoch))
    var random = RandomStream(seed: seed, .order, number)
    var order = Array(lengths.indices)
    random.shuffle(&order)
    switch configuration.bucketing {
    case .none:
      self.order = order
      return
    case .window:
      let window = batchSize * Self.windowBatches
      for start in stride(from: 0, to: order.count, by: window) {
        // Swift's sort is stable.
        order[start..<min(start + window, order.count)].sort { lengths[$0] < lengths[$1] }
      }
    case .noise:
      var noise = RandomStream(seed: seed, .lengthNoise, number)
      let keys = lengths.map { Double($0) + noise.nextUnit() * Self.noiseTokens }
      order.sort { keys[$0] < keys[$1] }
    }
    var batches = stride(from: 0, to: order.count, by: batchSize).map { start in
      order[start..<min(start + batchSize, order.count)]
    }
    var batchRandom = RandomStream(seed: seed, .batchOrder, number)
    // A short batch goes last: groups are cut by number.
    let short = batches.last.map { $0.count < batchSize } == true ? batches.removeLast() : nil
    batchRandom.shuffle(&batches)
    if let short { batches.append(short) }
    self.order = batches.flatMap { $0 }
  }

  /// The optimizer steps of an epoch of `count` sequences.
  static func steps(count: Int, _ configuration: TrainingConfiguration) -> Int {
    let size = configuration.batchSize * configuration.accumulation
    return (count + size - 1) / size
  }

  /// The optimizer steps of the epoch.
  var steps: Int { (order.count + batchSize * accumulation - 1) / (batchSize * accumulation) }

  /// The sequences of step `index` of the epoch.
  func group(_ index: Int) -> ArraySlice<Int> {
    let size = batchSize * accumulation
    return order[index * size..<min((index + 1) * size, order.count)]
  }
}
