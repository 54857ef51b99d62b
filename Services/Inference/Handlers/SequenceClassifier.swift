package import Checkpoints
import ModelAccess
package import Models
import RPC

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// What makes scores of logits.
package enum ScoreFunction: Sendable, Hashable, CaseIterable {
  case none, sigmoid, softmax
}

/// A label and how well it fits.
package struct LabelScore: Sendable, Equatable {
  /// The label's name.
  package let label: String
  /// A probability; with `none`, the logit.
  package let score: Float
}

/// A text classification model with what makes scores of its logits, as Hugging Face's
/// text-classification pipeline does.
package struct SequenceClassifier: Sendable {
  private let model: SequenceClassificationModel

  /// A classifier of texts that the model's tokenizer encoded.
  package init(model: SequenceClassificationModel) { self.model = model }

  /// The labels of a text, the best first, computed on `pool`: at most `topK`, or all.
  ///
  /// `function` nil: the one that the model's configuration implies. Throws ModelError for `ids` that the model does
  /// not take.
  func scores(
    of ids: [UInt32],
    function: ScoreFunction?,
    topK: Int?,
    on pool: WorkPool
  ) async throws -> [LabelScore] {
    try await pool.run { [model] in
      let configuration = model.configuration
      let function =
        function ?? .implied(by: configuration.problemType, labelCount: model.labels.count)
      let scores = function.scores(of: try model.logits(ids))
      guard scores.allSatisfy(\.isFinite) else {
        throw RPCError(.internal, "the model's scores are not finite: its weights are damaged")
      }
      return LabelScore.ranked(model.labels, scores, topK: topK)
    }
  }
}

extension LabelScore {
  /// Labels with their scores, the highest first, equal ones in the order of the labels.
  package static func ranked(_ labels: [String], _ scores: [Float], topK: Int?) -> [LabelScore] {
    let order = scores.indices.sorted {
      (scores[$1], $0) < (scores[$0], $1)
    }
    return order.prefix(topK ?? order.count).map {
      LabelScore(label: labels[$0], score: scores[$0])
    }
  }
}

extension ScoreFunction {
  /// What transformers applies when nothing is said.
  package static func implied(by problem: ProblemType?, labelCount: Int) -> ScoreFunction {
    switch problem {
    case .regression: .none
    case .multiLabel: .sigmoid
    case .singleLabel where labelCount > 1: .softmax
    case .singleLabel, nil: labelCount == 1 ? .sigmoid : .softmax
    }
  }

  /// Scores of logits, in single precision like the pipeline.
  package func scores(of logits: [Float]) -> [Float] {
    switch self {
    case .none: return logits
    case .sigmoid: return logits.map { 1 / (1 + exp(-$0)) }
    case .softmax:
      let highest = logits.max() ?? 0
      let powers = logits.map { exp($0 - highest) }
      let sum = powers.reduce(0, +)
      return powers.map { $0 / sum }
    }
  }
}
