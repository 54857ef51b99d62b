internal import Models

extension ExampleSet {
  /// The sequences `group`, one after another, as a batch of the model.
  func batch(_ group: ArraySlice<Int>, seed: UInt64 = 0) -> PackedBatch {
    var batch = PackedBatch(seed: seed)
    for index in group {
      let range = range(index)
      batch.append(Array(ids[range]), labels: Array(labels[range]))
    }
    return batch
  }
}
