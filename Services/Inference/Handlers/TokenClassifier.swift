import Generation
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

  /// The entities of a text; blocks while the model computes.
  func entities(
    of text: String,
    windows: [EntityWindow],
    strategy: AggregationStrategy,
    ignoredLabels: Set<String>
  ) throws -> [Entity] {
    let logits = try windows.map { try model.logits($0.ids) }
    return try aggregator.entities(
      in: text,
      windows: windows,
      logits: logits,
      strategy: strategy,
      ignoredLabels: ignoredLabels
    )
  }
}
