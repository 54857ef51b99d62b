import Glibc
internal import Tensors

/// Makes the weights of a model that is trained from scratch, or of a new head.
///
/// As transformers does for BERT and Llama: matrices are drawn from N(0, 0.02), biases are 0, the
/// weights of norms 1. The values depend on the seed and on the order of the tensors alone.
struct WeightInitializer {
  /// The standard deviation of matrices.
  static let deviation = 0.02

  private var state: UInt64

  init(seed: UInt64) { state = seed }

  /// Writes the initial values of the tensor `name`.
  mutating func fill(_ storage: Storage, name: String, shape: Shape) {
    let values = UnsafeMutableBufferPointer(
      rebasing: storage.elements(of: Float.self)[..<shape.elementCount]
    )
    guard shape.rank >= 2 else {
      values.update(repeating: name.hasSuffix(".bias") ? 0 : 1)
      return
    }
    var index = 0
    while index < values.count {
      // Two normal numbers from two uniform ones (Box and Muller, 1958).
      let radius = WeightInitializer.deviation * (-2 * log(1 - uniform())).squareRoot()
      let angle = 2 * Double.pi * uniform()
      values[index] = Float(radius * cos(angle))
      if index + 1 < values.count { values[index + 1] = Float(radius * sin(angle)) }
      index += 2
    }
  }

  /// In 0..<1, from SplitMix64 (Steele, Lea and Flood, 2014).
  private mutating func uniform() -> Double {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return Double((z ^ (z >> 31)) >> 11) * 0x1p-53
  }
}
