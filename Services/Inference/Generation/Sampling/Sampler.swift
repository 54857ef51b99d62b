/// Chooses the tokens of one sequence.
///
/// Not for use by two threads at once.
struct Sampler: Sendable {
  private let parameters: SamplingParameters
  private var random: Xoshiro256StarStar
  private var filter = SamplingFilter()

  /// Creates the sampler of a sequence; without a seed, one is drawn from the system.
  init(_ parameters: SamplingParameters) {
    self.parameters = parameters
    random = Xoshiro256StarStar(seed: parameters.seed ?? UInt64.random(in: .min ... .max))
  }

  /// The next token, from `logits`, `[vocabulary]` f32.
  ///
  /// NaN is never chosen. Throws `modelFailure` when nothing can be: all NaN or minus infinity.
  mutating func sample(_ logits: [Float]) throws(GenerationError) -> UInt32 {
    let best = try Self.firstMaximum(logits)
    let largest = logits[best]
    // Infinite logits have no softmax: the first infinite one is certain.
    guard parameters.temperature > 0, largest.isFinite else { return UInt32(best) }
    filter.fill(logits, largest: largest, parameters)
    return choose()
  }

  /// Inverse transform sampling: the first token at which the running sum of the weights exceeds a random
  /// part of the whole.
  private mutating func choose() -> UInt32 {
    let weights = filter.weights
    var total = 0.0
    for weight in weights { total += Double(weight) }
    let target = random.nextUnit() * total
    var sum = 0.0
    var last = 0
    for index in weights.indices where weights[index] > 0 {
      sum += Double(weights[index])
      last = index
      if sum > target { break }
    }
    return UInt32(last)
  }

  /// The index of the first of the largest logits, NaN aside.
  static func firstMaximum(_ logits: [Float]) throws(GenerationError) -> Int {
    var best = -1
    var largest = -Float.infinity
    for index in logits.indices where logits[index] > largest {
      best = index
      largest = logits[index]
    }
    guard best >= 0 else {
      throw GenerationError(
        .modelFailure,
        "sampling: none of the \(logits.count) logits is a number above -infinity"
      )
    }
    return best
  }
}
