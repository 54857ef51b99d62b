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
/// Keeps its buffers between calls, so that a step allocates nothing once they have grown. O(vocabulary):
/// nothing is sorted.
struct SamplingFilter: Sendable {
  /// The tokens' probabilities times a common factor, `[vocabulary]` f32; 0 for those that were removed.
  private(set) var weights: [Float] = []
  private var scratch: [Float] = []

  /// Fills `weights` from `logits`, `[vocabulary]` f32, whose largest is `largest`.
  ///
  /// `largest` is finite. NaN and minus infinity have no weight.
  mutating func fill(_ logits: [Float], largest: Float, _ parameters: SamplingParameters) {
    if weights.count != logits.count { weights = [Float](repeating: 0, count: logits.count) }
    let threshold = smallestOfTop(parameters.topK, logits)
    logits.withUnsafeBufferPointer { logits in
      weights.withUnsafeMutableBufferPointer { weights in
        for index in logits.indices {
          // False for NaN, which so gets no weight.
          let isKept = logits[index] >= threshold
          let score = (logits[index] - largest) / parameters.temperature
          weights[index] = isKept && score > Self.scoreMin ? expf(score) : 0
        }
      }
    }
    if parameters.topP < 1 { keepNucleus(Double(parameters.topP)) }
  }

  /// The exponential of less is 0 in f32.
  private static let scoreMin: Float = -104

  /// The k-th largest logit, minus infinity if `k` is off: what is less is removed, ties with it stay.
  private mutating func smallestOfTop(_ k: Int, _ logits: [Float]) -> Float {
    guard k > 0, k < logits.count else { return -.infinity }
    scratch.removeAll(keepingCapacity: true)
    for logit in logits where logit > -.infinity { scratch.append(logit) }
    guard k < scratch.count else { return -.infinity }
    return scratch.withUnsafeMutableBufferPointer {
      Self.select($0, totalMin: Double(k)) { _ in 1 }
    }
  }

  /// Keeps the most likely tokens up to the one with which their probabilities add up to `p`; of equally
  /// likely ones at the limit the first.
  private mutating func keepNucleus(_ p: Double) {
    scratch.removeAll(keepingCapacity: true)
    var total = 0.0
    for weight in weights where weight > 0 {
      scratch.append(weight)
      total += Double(weight)
    }
    let goal = p * total
    let threshold = scratch.withUnsafeMutableBufferPointer {
      Self.select($0, totalMin: goal) { Double($0) }
    }
    var sum = 0.0
    for weight in weights where weight > threshold { sum += Double(weight) }
    for index in weights.indices where weights[index] <= threshold {
      if weights[index] == threshold, sum < goal {
        sum += Double(threshold)
      } else {
        weights[index] = 0
      }
    }
  }

  /// The value at which the running sum of `measure` over `values` in descending order reaches `totalMin`;
  /// the least value if it never does.
  ///
  /// Quickselect with three parts, by sums in place of counts; O(values) on average. Reorders `values`, which
  /// must not be empty.
  static func select(
    _ values: UnsafeMutableBufferPointer<Float>,
    totalMin: Double,
    measure: (Float) -> Double
  ) -> Float {
    var low = 0
    var high = values.count - 1
    var before = 0.0
    while true {
      let pivot = median(values[low], values[(low + high) / 2], values[high])
      // low..<equal are greater than the pivot, equal..<index equal it, last + 1...high are less.
      var equal = low
      var index = low
      var last = high
      var sum = before
      while index <= last {
        let value = values[index]
        if value > pivot {
          sum += measure(value)
          values.swapAt(index, equal)
          equal += 1
          index += 1
        } else if value < pivot {
          values.swapAt(index, last)
          last -= 1
        } else {
          index += 1
        }
      }
      if equal > low, sum >= totalMin {
        high = equal - 1
        continue
      }
      before = sum + measure(pivot) * Double(index - equal)
      if before >= totalMin || last == high { return pivot }
      low = last + 1
    }
  }

  private static func median(_ a: Float, _ b: Float, _ c: Float) -> Float {
    max(min(a, b), min(max(a, b), c))
  }
}
