#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// The probabilities of the labels of one token, f32; NaN behaves as in numpy.
struct LabelScores: Sendable {
  let values: [Float]

  init(_ values: [Float]) { self.values = values }

  /// The softmax of `logits`, `[labels]`.
  init(logits: ArraySlice<Float>) {
    let largest = logits.reduce(-Float.infinity) { Swift.max($0, $1) }
    let exponentials = logits.map { expf($0 - largest) }
    let sum = exponentials.reduce(0, +)
    values = exponentials.map { $0 / sum }
  }

  /// The mean per label, NaN aside (`numpy.nanmean` over tokens).
  static func mean(_ scores: [LabelScores]) -> LabelScores {
    guard let first = scores.first else { return LabelScores([]) }
    return LabelScores(
      first.values.indices.map { label in nanMean(scores.map { $0.values[label] }) }
    )
  }

  /// The first index of the largest value; of the first NaN, if there is one (`numpy.argmax`).
  var best: Int {
    var best = 0
    for index in values.indices {
      if values[index].isNaN { return index }
      if values[index] > values[best] { best = index }
    }
    return best
  }
}

/// The mean of `values`, NaN aside.
func nanMean(_ values: [Float]) -> Float {
  let numbers = values.filter { !$0.isNaN }
  return numbers.reduce(0, +) / Float(numbers.count)
}
