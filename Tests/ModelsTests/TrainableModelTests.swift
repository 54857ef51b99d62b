import Checkpoints
import Foundation
import Tensors
import Testing

@testable import Models

@Suite("Models in training")
struct TrainableModelTests {
  private let threads = ThreadPool(threadCount: 2)

  private func sentences() throws -> [SentenceGolden] {
    try Fixtures.golden([SentenceGolden].self, in: Fixtures.nerWikiann)
  }

  private func batch(seed: UInt64 = 3) throws -> PackedBatch {
    var batch = PackedBatch(seed: seed)
    for sentence in try sentences().prefix(9) {
      let labels = sentence.ids.indices.map { $0 == 0 ? Graph.ignoredLabel : UInt32($0 % 7) }
      batch.append(sentence.ids, labels: labels)
    }
    return batch
  }

  /// A decoder of a few thousand weights.
  private func tiny(seed: UInt64 = 1, vocabulary: Int = 50) throws -> TrainableModel {
    try TrainableModel(
      configuration: .llama(
        ConfigurationDocument.Sizes(
          vocabulary: vocabulary,
          hidden: 32,
          layers: 2,
          heads: 4,
          kvHeads: 2,
          intermediate: 48,
          contextTokens: 64
        ),
        endOfSequenceID: 2,
        padID: 0
      ),
      threads: threads,
      seed: seed
    )
  }

  private func tinyBatch() -> PackedBatch {
    var batch = PackedBatch()
    for start in 0..<6 {
      let ids = (0..<10).map { UInt32(($0 * 7 + start) % 50) }
      batch.append(ids, labels: Array(ids.dropFirst()) + [Graph.ignoredLabel])
    }
    return batch
  }

  @Test("A packed batch has the logits of its sequences one by one")
  func packedClassifier() throws {
    let model = try TrainableModel(folder: Fixtures.nerWikiann, threads: threads, seed: 0)
    let single = try TokenClassificationModel(folder: Fixtures.nerWikiann, threads: threads)
    var batch = PackedBatch()
    var expected: [Float] = []
    for sentence in try sentences() {
      batch.append(sentence.ids)
      expected += try single.logits(sentence.ids)
    }
    let result = try model.evaluate(batch)
    #expect(result.loss == 0)
    #expect(maximumDifference(Array(result.logits), expected) < 1e-4)
  }

  @Test("A packed decoder has the logits of the cached one at every token")
  func packedDecoder() throws {
    let model = try TrainableModel(folder: Fixtures.supportChat, threads: threads, seed: 0)
    let cached = try CausalLanguageModel(folder: Fixtures.supportChat, threads: threads)
    let golden = try Fixtures.golden(ChatGolden.self, in: Fixtures.supportChat)
    var batch = PackedBatch()
    let texts = golden.conversations.prefix(4).map(\.ids)
    for ids in texts { batch.append(ids) }
    let packed = Array(try model.logits(batch))
    var row = 0
    for ids in texts {
      let sequence = try cached.makeSequence(capacityTokens: ids.count)
      var logits: [Float] = []
      for id in ids {
        try cached.forward([id], in: sequence, logits: &logits)
        let start = row * logits.count
        #expect(maximumDifference(Array(packed[start..<start + logits.count]), logits) < 2e-4)
        row += 1
      }
    }
  }

  @Test("A step's loss and gradients are the same bits on 1 and 2 threads, and with the same seed")
  func determinism() throws {
    func train(_ threadCount: Int, seed: UInt64) throws -> TrainableModel {
      let model = try TrainableModel(
        folder: Fixtures.nerWikiann,
        threads: ThreadPool(threadCount: threadCount),
        seed: 0
      )
      _ = try model.step(try batch(seed: seed), scale: 0.01, dropout: 0.1)
      return model
    }
    let first = try train(1, seed: 3)
    let (second, other) = (try train(2, seed: 3), try train(2, seed: 4))
    for (index, parameter) in first.parameters.enumerated() {
      #expect(parameter.hasSameGradient(as: second.parameters[index]), "\(parameter.name)")
    }
    let changed = zip(first.parameters, other.parameters).filter { !$0.hasSameGradient(as: $1) }
    #expect(changed.count == first.parameters.count)
  }

  @Test("Gradients of two steps add up to those of one with both batches")
  func accumulation() throws {
    let model = try tiny()
    let batch = tinyBatch()
    var halves = [PackedBatch(), PackedBatch()]
    for sequence in 0..<6 {
      let range = sequence * 10..<(sequence + 1) * 10
      halves[sequence / 2 % 2].append(Array(batch.ids[range]), labels: Array(batch.labels[range]))
    }
    let whole = try model.step(batch, scale: 0.1, dropout: 0)
    let expected = model.parameters.map { Array($0.gradients) }
    for parameter in model.parameters { parameter.gradients.update(repeating: 0) }
    let parts = try halves.map { try model.step($0, scale: 0.1, dropout: 0) }
    #expect(abs(parts[0] + parts[1] - whole) < 1e-4)
    for (parameter, gradient) in zip(model.parameters, expected) {
      #expect(maximumDifference(Array(parameter.gradients), gradient) < 1e-5, "\(parameter.name)")
    }
  }

  @Test("A batch without labels has neither loss nor gradient, and is checked all the same")
  func unlabelled() throws {
    let model = try tiny()
    _ = try model.step(tinyBatch(), scale: 1, dropout: 0)
    let before = model.parameters.map { Array($0.gradients) }
    var batch = PackedBatch()
    batch.append([1, 2, 3])
    #expect(try model.step(batch, scale: 1, dropout: 0.1) == 0)
    #expect(model.parameters.map { Array($0.gradients) } == before)
    batch.append([50])
    #expect(throws: ModelError.self) { try model.step(batch, scale: 1, dropout: 0) }
  }

  @Test("A step of one labelled row has the loss of all logits, and the gradients of its sequence")
  func oneLabel() throws {
    let model = try tiny()
    var batch = PackedBatch()
    batch.append([1, 2, 3, 4])
    batch.append([5, 6, 7])
    batch.labels[2] = 9
    let loss = try model.evaluate(batch).loss
    #expect(abs(try model.step(batch, scale: 1, dropout: 0) - loss) < 1e-5)
    let alone = try tiny()
    var sequence = PackedBatch()
    let none = Graph.ignoredLabel
    sequence.append([1, 2, 3, 4], labels: [none, none, 9, none])
    _ = try alone.step(sequence, scale: 1, dropout: 0)
    for (both, one) in zip(model.parameters, alone.parameters) {
      #expect(zip(both.gradients, one.gradients).allSatisfy { abs($0 - $1) < 1e-5 })
    }
  }

  @Test("A new decoder knows nothing, and learns a pattern by plain gradient descent")
  func fromScratch() throws {
    let model = try tiny()
    let batch = tinyBatch()
    let scale = 1 / Float(54)
    let first = try model.evaluate(batch, scale: scale).loss
    #expect(abs(first - log(Float(50))) < 0.2)
    for _ in 0..<60 {
      _ = try model.step(batch, scale: scale, dropout: 0)
      for parameter in model.parameters {
        for index in parameter.values.indices {
          parameter.values[index] -= 1 * parameter.gradients[index]
        }
        parameter.gradients.update(repeating: 0)
      }
    }
    #expect(try model.evaluate(batch, scale: scale).loss < first / 2)
    // Elements are valid while their model lives.
    let (one, two) = (try tiny(seed: 1), try tiny(seed: 2))
    withExtendedLifetime((one, two)) {
      #expect(one.parameters[0].values[0] != two.parameters[0].values[0])
    }
    let names = model.parameters.filter { !$0.isDecayed }.map(\.name)
    #expect(names.allSatisfy { $0.hasSuffix("norm.weight") } && names.count == 5)
  }

  @Test("Batches that are wrong are refused and leave the gradients as they were")
  func wrongBatches() throws {
    let model = try tiny()
    let good = tinyBatch()
    var batches = [PackedBatch(), good, good, good, good, good, good]
    batches[1].ids[3] = 50
    batches[2].labels[59] = 50
    batches[3].starts[7] = 2
    batches[4].ends[59] = 61
    batches[5].positions[0] = 64
    batches[6].labels.removeLast()
    for batch in batches {
      let error = #expect(throws: ModelError.self) {
        try model.step(batch, scale: 1, dropout: 0)
      }
      #expect(error?.code == .invalidInput)
    }
    for dropout in [1, -0.5, .nan] as [Float] {
      let error = #expect(throws: ModelError.self) {
        try model.step(good, scale: 1, dropout: dropout)
      }
      #expect(error?.code == .invalidInput)
    }
    for parameter in model.parameters { #expect(parameter.gradients.allSatisfy { $0 == 0 }) }
    var long = PackedBatch()
    long.append([UInt32](repeating: 1, count: 65))
    #expect(throws: ModelError.self) { try model.step(long, scale: 1, dropout: 0) }
  }

  @Test("A measured step names the operations and adds the same gradients")
  func profile() throws {
    let model = try tiny()
    let times = try model.profile(tinyBatch(), dropout: 0)
    #expect(times.first.map { $0.milliseconds >= times[times.count - 1].milliseconds } == true)
    let names = Set(times.map(\.operation))
    #expect(names.isSuperset(of: ["linear", "matmulTransposed", "packedAttentionGradient"]))
    #expect(model.parameters.allSatisfy { $0.gradients.contains { $0 != 0 } })
  }

  @Test("The memory of a step is known and checked before it runs")
  func memory() throws {
    let model = try TrainableModel(folder: Fixtures.nerWikiann, threads: threads, seed: 0)
    let small = try model.peakBytes(rows: 100, sequenceTokens: 30, dropout: 0.1)
    let large = try model.peakBytes(rows: 1_000, sequenceTokens: 30, dropout: 0.1)
    let forward = try model.peakBytes(rows: 1_000, sequenceTokens: 30, dropout: nil)
    #expect(small < large && forward < large / 3)
    #expect(model.parameterBytes == 2 * 4 * model.parameters.reduce(0) { $0 + $1.values.count })
    var limits = ModelLimits()
    limits.arenaBytesMax = small
    let limited = try TrainableModel(
      folder: Fixtures.nerWikiann,
      threads: threads,
      seed: 0,
      limits: limits
    )
    _ = try limited.peakBytes(rows: 100, sequenceTokens: 30, dropout: 0.1)
    let error = #expect(throws: ModelError.self) {
      try limited.peakBytes(rows: 1_000, sequenceTokens: 30, dropout: 0.1)
    }
    #expect(error?.code == .memoryLimit)
    #expect(throws: ModelError.self) {
      try model.peakBytes(rows: Int.max, sequenceTokens: 30, dropout: 0.1)
    }
  }
}

extension Parameter {
  /// Whether the gradients are the same bits.
  fileprivate func hasSameGradient(as other: Parameter) -> Bool {
    hasSameBytes(UnsafeRawBufferPointer(gradients), UnsafeRawBufferPointer(other.gradients))
  }
}
