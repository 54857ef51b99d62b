package import Tensors

/// Sequences of a training or evaluation step, one after another without padding.
///
/// All arrays have one element for each token, u32.
package struct PackedBatch: Sendable {
  /// Token ids.
  package var ids: [UInt32]
  /// The place of each token in its sequence.
  package var positions: [UInt32]
  /// The first row of each token's sequence.
  package var starts: [UInt32]
  /// The row after the last of each token's sequence.
  package var ends: [UInt32]
  /// What each row is to predict; `Graph.ignoredLabel` for nothing.
  ///
  /// A text classifier's label stands at the first token of the sequence.
  package var labels: [UInt32]
  /// Selects the dropout masks.
  package var seed: UInt64

  /// Makes an empty batch.
  package init(seed: UInt64 = 0) {
    (ids, positions, starts, ends, labels) = ([], [], [], [], [])
    self.seed = seed
  }

  /// Adds a sequence; `labels` has one element for each of `ids`.
  package mutating func append(_ ids: [UInt32], labels: [UInt32]) {
    precondition(ids.count == labels.count)
    let start = UInt32(rows)
    let end = start + UInt32(ids.count)
    self.ids += ids
    self.labels += labels
    positions += 0..<UInt32(ids.count)
    starts += repeatElement(start, count: ids.count)
    ends += repeatElement(end, count: ids.count)
  }

  /// Adds a sequence without labels.
  package mutating func append(_ ids: [UInt32]) {
    append(ids, labels: [UInt32](repeating: Graph.ignoredLabel, count: ids.count))
  }

  /// Tokens of all sequences.
  package var rows: Int { ids.count }
}

/// A weight of a model in training, with its gradient.
package struct Parameter: Sendable {
  /// The name in the checkpoint.
  package var name: String { tensor.name }
  /// The weight, f32; may be written between runs.
  package let tensor: Tensor
  /// The sum of the gradients of the steps since it was last set to zero, f32, of the same shape.
  package let gradient: Tensor
  /// Whether weight decay applies: false for biases and norms.
  package let isDecayed: Bool

  /// The elements of the weight; valid while the parameter lives.
  package var values: UnsafeMutableBufferPointer<Float> { Parameter.elements(tensor) }
  /// The elements of the gradient; valid while the parameter lives.
  package var gradients: UnsafeMutableBufferPointer<Float> { Parameter.elements(gradient) }

  private static func elements(_ tensor: Tensor) -> UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(
      rebasing: tensor.storage.elements(of: Float.self)[..<tensor.shape.elementCount]
    )
  }
}
