internal import CKernels
internal import Tensors

/// All parameters of an optimizer, cut into chunks of a fixed size that threads work on.
///
/// The cut depends on the parameters alone and partial sums are added in order, so that results
/// are the same for any number of threads.
///
/// `@unchecked Sendable`: the threads of the pool write disjoint chunks and disjoint partial sums;
/// all else is immutable.
final class ParameterChunks: @unchecked Sendable {
  /// The most elements of a chunk: four arrays of it fit into a core's second-level cache.
  static let chunkElementsMax = 1 << 15
  /// The elements of a block, about a row of an embedding: rows that no token of a step named have
  /// no gradient.
  static let blockElements = 256

  /// Some elements of one parameter.
  struct Chunk {
    let parameter: Int
    let group: Int
    let isDecayed: Bool
    /// Where its elements are in arrays that hold those of all parameters.
    let offset: Int
    let values: UnsafeMutablePointer<Float>
    let gradients: UnsafeMutablePointer<Float>
    let count: Int
    /// The number of its first block among those of all chunks.
    let firstBlock: Int

    var blocks: Int {
      (count + ParameterChunks.blockElements - 1) / ParameterChunks.blockElements
    }

    /// Where the elements of `blocks` begin in the chunk, and how many they are.
    func elements(of blocks: Range<Int>) -> (start: Int, count: Int) {
      let start = blocks.lowerBound * ParameterChunks.blockElements
      return (start, min(count, blocks.upperBound * ParameterChunks.blockElements) - start)
    }
  }

  let groups: [ParameterGroup]
  let parameters: [ParameterBuffer]
  /// Where each parameter's elements are in arrays that hold those of all.
  let offsets: [Int]
  let elementCount: Int
  let chunks: [Chunk]
  /// Blocks of all chunks.
  let blockCount: Int
  let threads: ThreadPool
  private let partialSums: Storage
  private let blockGradients: Storage
  private var sumSquares: @Sendable (Int, Int) -> Void = { _, _ in }

  init(_ groups: [ParameterGroup], threads: ThreadPool) throws(OptimizerError) {
    var parameters: [ParameterBuffer] = []
    var names: Set<String> = []
    var offsets: [Int] = []
    var chunks: [Chunk] = []
    var total = 0
    for (group, settings) in groups.enumerated() {
      try settings.learningRateFactor.require(
        "learningRateFactor",
        in: 0...Double.greatestFiniteMagnitude
      )
      try (settings.weightDecay ?? 0).require("weightDecay", in: 0...Double.greatestFiniteMagnitude)
      for parameter in settings.parameters {
        guard names.insert(parameter.name).inserted else {
          throw OptimizerError(
            .invalidArgument,
            "optimizer: the parameter \(parameter.name) is there twice"
          )
        }
        offsets.append(total)
        parameters.append(parameter)
        Self.cut(parameter, number: parameters.count - 1, group: group, offset: total, &chunks)
        total += parameter.values.count
      }
    }
    self.groups = groups
    self.parameters = parameters
    self.offsets = offsets
    self.chunks = chunks
    self.threads = threads
    elementCount = total
    partialSums = try Self.reserve(chunks.count * MemoryLayout<Double>.stride)
    let sums = partialSums.base.bindMemory(to: Double.self, capacity: chunks.count)
    sums.initialize(repeating: 0, count: chunks.count)
    blockCount = chunks.last.map { $0.firstBlock + $0.blocks } ?? 0
    blockGradients = try Self.reserve(blockCount)
    blockGradients.base.bindMemory(to: UInt8.self, capacity: blockCount)
      .initialize(repeating: 1, count: blockCount)
    // Made once: a step allocates nothing.
    sumSquares = { [unowned self] task, _ in
      let chunk = self.chunks[task]
      self.partial(
        task,
        ck_sum_squares_blocks_f32(
          chunk.gradients,
          chunk.count,
          Self.blockElements,
          self.hasGradient + chunk.firstBlock
        )
      )
    }
  }

  private static func cut(
    _ parameter: ParameterBuffer,
    number: Int,
    group: Int,
    offset: Int,
    _ chunks: inout [Chunk]
  ) {
    guard let values = parameter.values.baseAddress,
      let gradients = parameter.gradients.baseAddress
    else { return }
    for start in stride(from: 0, to: parameter.values.count, by: chunkElementsMax) {
      chunks.append(
        Chunk(
          parameter: number,
          group: group,
          isDecayed: parameter.isDecayed,
          offset: offset + start,
          values: values + start,
          gradients: gradients + start,
          count: min(chunkElementsMax, parameter.values.count - start),
          firstBlock: chunks.last.map { $0.firstBlock + $0.blocks } ?? 0
        )
      )
    }
  }

  /// Uninitialized memory; throws `memoryLimit`.
  static func reserve(_ byteCount: Int) throws(OptimizerError) -> Storage {
    do {
      return try Storage(byteCount: byteCount)
    } catch {
      throw OptimizerError(
        .memoryLimit,
        "optimizer: cannot reserve \(byteCount) bytes of state",
        cause: error
      )
    }
  }

  /// An array of zeros with an element for each of the parameters'.
  func makeArray() throws(OptimizerError) -> Storage {
    let storage = try Self.reserve(elementCount * MemoryLayout<Float>.stride)
    storage.elements(of: Float.self).initialize(repeating: 0)
    return storage
  }

  /// For each block of all chunks 1, or 0 if `gradientNorm` found its gradients to be 0.
  var hasGradient: UnsafeMutablePointer<UInt8> {
    blockGradients.base.assumingMemoryBound(to: UInt8.self)
  }

  /// Stores the partial sum of chunk `task`.
  func partial(_ task: Int, _ sum: Double) {
    partialSums.base.assumingMemoryBound(to: Double.self)[task] = sum
  }

  /// The partial sums, one for each chunk.
  var partials: UnsafeBufferPointer<Double> {
    UnsafeBufferPointer(
      start: partialSums.base.assumingMemoryBound(to: Double.self),
      count: chunks.count
    )
  }

  /// The global norm of the gradients; not finite if one of them is not.
  func gradientNorm() -> Double {
    threads.run(tasks: chunks.count, sumSquares)
    return partials.reduce(0, +).squareRoot()
  }

  /// The global norm, and the coefficient that clips to `normMax`; throws `notFinite`.
  func clip(normMax: Double?) throws(OptimizerError) -> (norm: Double, coefficient: Double) {
    if let normMax { try normMax.require("normMax", in: 1e-30...Double.greatestFiniteMagnitude) }
    let norm = gradientNorm()
    guard norm.isFinite else {
      let culprit = parameters.first { parameter in
        guard let start = parameter.gradients.baseAddress else { return false }
        return !ck_max_magnitude_f32(start, parameter.gradients.count).isFinite
      }
      throw OptimizerError(
        .notFinite,
        "step: the gradient norm is \(norm), first in \(culprit?.name ?? "no parameter")"
      )
    }
    return (norm, normMax.map { min(1, $0 / (norm + 1e-6)) } ?? 1)
  }

  func zeroGradients() {
    for parameter in parameters { parameter.gradients.update(repeating: 0) }
  }

  /// The part of `storage`, an array over all parameters, that belongs to one.
  func elements(_ storage: Storage, of parameter: Int) -> UnsafeMutableBufferPointer<Float> {
    let all = storage.elements(of: Float.self)
    let count = parameters[parameter].values.count
    guard count > 0 else { return UnsafeMutableBufferPointer(start: nil, count: 0) }
    return UnsafeMutableBufferPointer(
      rebasing: all[offsets[parameter]..<offsets[parameter] + count]
    )
  }

  /// Calls `body` with the part of each parameter, named `<what>.<parameter>`.
  func withArrays(
    _ what: String,
    _ storage: Storage,
    _ body: (String, UnsafeBufferPointer<Float>) throws -> Void
  ) rethrows {
    for (index, parameter) in parameters.enumerated() {
      try body("\(what).\(parameter.name)", UnsafeBufferPointer(elements(storage, of: index)))
    }
  }

  /// The saved arrays that `withArrays` gave, in order; throws `invalidState`.
  func saved(_ what: String, in state: OptimizerState) throws(OptimizerError) -> [[Float]] {
    var arrays: [[Float]] = []
    for parameter in parameters {
      arrays.append(
        try state.array("\(what).\(parameter.name)", count: parameter.values.count)
      )
    }
    return arrays
  }

  /// Writes what `saved` found.
  func load(_ arrays: [[Float]], into storage: Storage) {
    for (index, array) in arrays.enumerated() where !array.isEmpty {
      _ = elements(storage, of: index).update(fromContentsOf: array)
    }
  }
}
