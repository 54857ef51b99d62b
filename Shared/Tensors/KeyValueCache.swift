/// The keys and values of one sequence, for every layer, f32.
///
/// Of each layer and head, the positions lie one after another (`[layer, kvHead, position,
/// headDim]`), so that attention reads memory in order. The memory is reserved whole, but the
/// system provides its pages when they are first written.
///
/// `@unchecked Sendable`: used by one thread at a time, the one that runs the sequence's model.
package final class KeyValueCache: @unchecked Sendable {
  /// Layers of the model.
  package let layers: Int
  /// Key and value heads of a layer.
  package let kvHeads: Int
  /// Elements of a head.
  package let headDim: Int
  /// The most positions that fit.
  package let capacityTokens: Int
  /// Positions in use; the next run appends after them.
  package private(set) var length = 0

  private let keys: Storage
  private let values: Storage

  /// Reserves the memory; throws `invalidArgument` for sizes below 1 or that overflow,
  /// `memoryLimit` when the system refuses it.
  package init(
    layers: Int,
    kvHeads: Int,
    headDim: Int,
    capacityTokens: Int
  ) throws(TensorError) {
    let shape = try Shape([layers, kvHeads, capacityTokens, headDim])
    let byteCount = shape.elementCount * DType.float32.byteCount
    self.layers = layers
    self.kvHeads = kvHeads
    self.headDim = headDim
    self.capacityTokens = capacityTokens
    keys = try Storage(byteCount: byteCount)
    values = try Storage(byteCount: byteCount)
  }

  /// Bytes reserved for keys and values.
  package var byteCount: Int { keys.byteCount + values.byteCount }

  /// Marks `count` positions, which a run has written, as part of the sequence.
  package func advance(by count: Int) {
    precondition(count >= 0 && length + count <= capacityTokens)
    length += count
  }

  /// The keys of a head, position 0 first.
  func keys(layer: Int, head: Int) -> UnsafeMutablePointer<Float> {
    start(keys, layer, head)
  }

  /// The values of a head, position 0 first.
  func values(layer: Int, head: Int) -> UnsafeMutablePointer<Float> {
    start(values, layer, head)
  }

  private func start(_ storage: Storage, _ layer: Int, _ head: Int) -> UnsafeMutablePointer<Float> {
    precondition(layer < layers && head < kvHeads)
    return storage.base.assumingMemoryBound(to: Float.self)
      + (layer * kvHeads + head) * capacityTokens * headDim
  }
}
