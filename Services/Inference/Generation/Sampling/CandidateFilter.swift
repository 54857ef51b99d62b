#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// Temperature, top-k and top-p, in this order and with the semantics of transformers' logits
/// warpers (`TemperatureLogitsWarper`, `TopKLogitsWarper`, `TopPLogitsWarper`).
///
/// Keeps its buffers between calls, so that a step allocates nothing once they have grown.
struct CandidateFilter: Sendable {
  /// A token that may be chosen.
  struct Candidate: Sendable, Equatable {
    let id: UInt32
    /// (logit - largest logit) / temperature: at most 0.
    let score: Float
  }

  /// The tokens that remain.
  private(set) var candidates: [Candidate] = []
  /// Their probabilities times a common factor, in the same order.
  private(set) var weights: [Float] = []

  private var selection: [Float] = []

  /// Fills `candidates` and `weights` from `logits`, `[vocabulary]` f32, whose largest is `largest`.
  ///
  /// `largest` is finite. NaN and minus infinity are never candidates.
  ///
  /// O(vocabulary), and O(n log n) in the tokens that top-p has to order.
  mutating func fill(_ logits: [Float], largest: Float, _ parameters: SamplingParameters) {
    candidates.removeAll(keepingCapacity: true)
    for index in logits.indices {
      let logit = logits[index]
      guard logit > -.infinity else { continue }  // False for NaN, too.
      let score = (logit - largest) / parameters.temperature
      candidates.append(Candidate(id: UInt32(index), score: score))
    }
    if parameters.topK > 0, parameters.topK < candidates.count { keepTop(parameters.topK) }
    weights.removeAll(keepingCapacity: true)
    for candidate in candidates { weights.append(expf(candidate.score)) }
    if parameters.topP < 1 { keepNucleus(Double(parameters.topP)) }
  }

  /// Removes what scores less than the k-th best; ties with it stay.
  private mutating func keepTop(_ k: Int) {
    selection.removeAll(keepingCapacity: true)
    for candidate in candidates { selection.append(candidate.score) }
    let threshold = selection.withUnsafeMutableBufferPointer { Self.select(k - 1, &$0) }
    candidates.removeAll { $0.score < threshold }
  }

  /// Keeps the most likely tokens up to the one with which their probabilities add up to `p`.
  private mutating func keepNucleus(_ p: Double) {
    let total = weights.reduce(0.0) { $0 + Double($1) }
    // All tokens less likely than (1 - p) / n together have less than 1 - p: none of them can be
    // in the nucleus, and need not be ordered. The margin is for rounding.
    let floor = Float((1 - p) * total / Double(weights.count) * 0.99)
    var kept = 0
    for index in candidates.indices where weights[index] >= floor {
      candidates[kept] = candidates[index]
      kept += 1
    }
    candidates.removeLast(candidates.count - kept)
    // Of equally likely tokens the first come first, so that the result is defined.
    candidates.sort { ($1.score, $0.id) < ($0.score, $1.id) }
    weights.removeAll(keepingCapacity: true)
    var sum = 0.0
    for candidate in candidates {
      guard weights.isEmpty || sum < p * total else { break }
      let weight = expf(candidate.score)
      weights.append(weight)
      sum += Double(weight)
    }
    candidates.removeLast(candidates.count - weights.count)
  }

  /// The value that would be at `rank` if `values` were in descending order (Hoare's quickselect).
  static func select(_ rank: Int, _ values: inout UnsafeMutableBufferPointer<Float>) -> Float {
    var low = 0
    var high = values.count - 1
    while low < high {
      let pivot = median(values[low], values[(low + high) / 2], values[high])
      var left = low
      var right = high
      while left <= right {
        while values[left] > pivot { left += 1 }
        while values[right] < pivot { right -= 1 }
        if left <= right {
          values.swapAt(left, right)
          left += 1
          right -= 1
        }
      }
      if rank <= right {
        high = right
      } else if rank >= left {
        low = left
      } else {
        return values[rank]
      }
    }
    return values[rank]
  }

  private static func median(_ a: Float, _ b: Float, _ c: Float) -> Float {
    max(min(a, b), min(max(a, b), c))
  }
}
