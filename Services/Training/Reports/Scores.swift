/// How well one class, or all of them together, was found.
package struct Scores: Sendable, Equatable, Codable {
  /// The share of what was predicted that is true; 0 when nothing was predicted.
  package var precision: Double
  /// The share of what is true that was predicted; 0 when nothing is true.
  package var recall: Double
  /// The harmonic mean of both; 0 when both are.
  package var f1: Double
  /// How many are true.
  package var support: Int

  private enum CodingKeys: String, CodingKey {
    case precision, recall, support
    case f1 = "f1-score"
  }
}

/// The scores of one class or average, with its name.
package struct NamedScores: Sendable, Equatable, Codable {
  /// The class, or "micro avg", "macro avg", "weighted avg" or "accuracy".
  package var name: String
  /// The scores.
  package var scores: Scores
}

/// What is counted of one class.
struct Counts: Sendable, Equatable {
  /// Predicted and true.
  var correct = 0
  var predicted = 0
  var actual = 0

  static func + (left: Counts, right: Counts) -> Counts {
    Counts(
      correct: left.correct + right.correct,
      predicted: left.predicted + right.predicted,
      actual: left.actual + right.actual
    )
  }
}

/// seqeval and scikit-learn compute F1 in two ways, which differ in the last bit.
enum F1Formula: Sendable {
  /// 2 p r / (p + r).
  case seqeval
  /// 2 correct / (predicted + actual).
  case sklearn
}

extension Scores {
  init(_ counts: Counts, _ formula: F1Formula) {
    func ratio(_ numerator: Double, _ denominator: Double) -> Double {
      denominator == 0 ? 0 : numerator / denominator
    }
    let correct = Double(counts.correct)
    precision = ratio(correct, Double(counts.predicted))
    recall = ratio(correct, Double(counts.actual))
    support = counts.actual
    f1 =
      switch formula {
      case .seqeval: ratio(2 * precision * recall, precision + recall)
      case .sklearn: ratio(2 * correct, Double(counts.actual) + Double(counts.predicted))
      }
  }

  /// The mean of `rows`, weighted by support if `isWeighted`; 0 if there are no rows or no
  /// support.
  static func average(_ rows: [Scores], isWeighted: Bool) -> Scores {
    let weights = isWeighted ? rows.map { Double($0.support) } : nil
    func average(_ values: [Double]) -> Double {
      guard let weights else {
        return values.isEmpty ? 0 : pairwiseSum(values[...]) / Double(values.count)
      }
      let total = pairwiseSum(weights[...])
      return total == 0 ? 0 : pairwiseSum(zip(values, weights).map { $0 * $1 }[...]) / total
    }
    return Scores(
      precision: average(rows.map(\.precision)),
      recall: average(rows.map(\.recall)),
      f1: average(rows.map(\.f1)),
      support: rows.reduce(0) { $0 + $1.support }
    )
  }
}

/// The sum of `values` in NumPy's order of additions (`pairwise_sum`), so that averages equal
/// NumPy's to the last bit.
func pairwiseSum(_ values: ArraySlice<Double>) -> Double {
  let count = values.count
  if count < 8 { return values.reduce(0, +) }
  if count <= 128 {
    let start = values.startIndex
    var lanes = Array(values[start..<start + 8])
    let end = start + count - count % 8
    for index in stride(from: start + 8, to: end, by: 8) {
      for lane in 0..<8 { lanes[lane] += values[index + lane] }
    }
    let sum =
      ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3]))
      + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]))
    return values[end...].reduce(sum, +)
  }
  let half = count / 2 - count / 2 % 8
  let middle = values.startIndex + half
  return pairwiseSum(values[..<middle]) + pairwiseSum(values[middle...])
}
