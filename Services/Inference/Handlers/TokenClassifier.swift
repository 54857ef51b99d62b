import Generation
import ModelAccess
package import Models
package import Tokenizers

/// A token classification model with the aggregation of its labels into entities.
package struct TokenClassifier: Sendable {
  private let model: TokenClassificationModel
  private let aggregator: EntityAggregator

  /// A classifier of texts that `tokenizer` encoded.
  package init(model: TokenClassificationModel, tokenizer: Tokenizer) {
    self.model = model
    aggregator = EntityAggregator(labels: model.labels, tokenizer: tokenizer)
  }

  /// The entities of a text, computed on `pool`.
  ///
  /// A window at a time, so that requests take turns and one whose caller went away costs no more than a window.
  func entities(
    of text: String,
    windows: [EntityWindow],
    strategy: AggregationStrategy,
    ignoredLabels: [String],
    on pool: WorkPool
  ) async throws -> [Entity] {
    var logits: [[Float]] = []
    for window in windows {
      logits.append(try await pool.run { [model] in try model.logits(window.ids) })
    }
    return try await pool.run { [aggregator, logits] in
      try aggregator.entities(
        in: text,
        windows: windows,
        logits: logits,
        strategy: strategy,
        ignoredLabels: ignoredLabels
      )
    }
  }
}
