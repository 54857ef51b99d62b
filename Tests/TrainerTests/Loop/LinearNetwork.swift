import Glibc
import Models
import Optimizers

@testable import Trainer

/// A classifier of each token by its id alone: logits are a row of a table `[ids, classes]`.
///
/// With dropout a token is left out with that probability, by a hash of the batch's seed.
final class LinearNetwork: TrainableNetwork {
  let classes: Int
  private let values: UnsafeMutableBufferPointer<Float>
  private let gradients: UnsafeMutableBufferPointer<Float>
  private var logits = UnsafeMutableBufferPointer<Float>.allocate(capacity: 0)
  /// Batches that made gradients.
  private(set) var batches: [PackedBatch] = []
  /// The network says so after this many batches.
  var failsAfter = Int.max

  init(ids: Int, classes: Int) {
    self.classes = classes
    values = .allocate(capacity: ids * classes)
    gradients = .allocate(capacity: ids * classes)
    values.initialize(repeating: 0)
    gradients.initialize(repeating: 0)
  }

  deinit {
    values.deallocate()
    gradients.deallocate()
    logits.deallocate()
  }

  var parameterBuffers: [ParameterBuffer] {
    [ParameterBuffer(name: "table", values: values, gradients: gradients, isDecayed: true)]
  }

  var table: [Float] { Array(values) }
  var gradientTable: [Float] { Array(gradients) }
  func fill(_ value: Float) { values.update(repeating: value) }
  func set(_ id: Int, _ value: Float) { for c in 0..<classes { values[id * classes + c] = value } }

  func accumulateGradients(
    _ batch: PackedBatch,
    scale: Float,
    dropout: Float
  ) throws(TrainerError) -> Float {
    batches.append(batch)
    guard batches.count <= failsAfter else { return .nan }
    var loss: Float = 0
    var random = RandomStream(seed: batch.seed, .dropout, 0)
    for row in 0..<batch.rows where batch.labels[row] != ExampleSet.ignored {
      if dropout > 0, random.nextUnit() < Double(dropout) { continue }
      let start = Int(batch.ids[row]) * classes
      let exponentials = (0..<classes).map { expf(values[start + $0]) }
      let sum = exponentials.reduce(0, +)
      for column in 0..<classes {
        let isLabel = column == Int(batch.labels[row])
        let probability = exponentials[column] / sum
        gradients[start + column] += scale * (probability - (isLabel ? 1 : 0))
        if isLabel { loss -= scale * logf(probability) }
      }
    }
    return loss
  }

  func evaluatedLogits(
    _ batch: PackedBatch
  ) throws(TrainerError) -> UnsafeBufferPointer<Float> {
    logits.deallocate()
    logits = .allocate(capacity: batch.rows * classes)
    _ = logits.initialize(
      fromContentsOf: batch.ids.flatMap { id in
        values[Int(id) * classes..<(Int(id) + 1) * classes]
      }
    )
    return UnsafeBufferPointer(logits)
  }
}
