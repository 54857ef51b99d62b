/// How token labels become entities, as in Hugging Face's token-classification pipeline.
package enum AggregationStrategy: String, Sendable, Hashable, CaseIterable {
  /// Each token by itself.
  case none
  /// Neighbouring tokens of the same tag.
  case simple
  /// As simple, on words: a word has the label of its first token.
  case first
  /// As simple, on words: a word has the best label of its tokens' mean scores.
  case average
  /// As simple, on words: a word has the label of its most certain token.
  case max
}

/// A span of a text with a label.
package struct Entity: Sendable, Equatable {
  /// A tag (`PER`), or without aggregation a token's label (`B-PER`).
  package var label: String
  /// The probability, or the mean of those of the tokens or words.
  package var score: Float
  /// The token, or the tokens joined to text.
  package var word: String
  /// Where it begins in the text, in Unicode scalars.
  package var start: Int
  /// Where it ends.
  package var end: Int
  /// Without aggregation: the token's index in its window.
  package var index: Int?

  /// Makes an entity.
  package init(
    label: String,
    score: Float,
    word: String,
    start: Int,
    end: Int,
    index: Int? = nil
  ) {
    self.label = label
    self.score = score
    self.word = word
    self.start = start
    self.end = end
    self.index = index
  }
}
