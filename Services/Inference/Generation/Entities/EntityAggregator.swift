package import Tokenizers

/// Turns the logits of a token classification model into entities.
///
/// A port of `TokenClassificationPipeline` of Hugging Face transformers 5
/// (`pipelines/token_classification.py`), function by function, so that results are the same.
package struct EntityAggregator: Sendable {
  /// Scalars that the unknown tokens of a text may stand for, as `times` the text's and some more.
  ///
  /// Each is copied, and a caller may claim that every token stands for the whole text; a real one repeats a place
  /// only where windows overlap.
  private static let unknownScalarsMax = (times: 4, more: 65_536)

  let labels: [String]
  let tokenizer: Tokenizer
  /// Whether a token that continues a word can be told by its length; see `preEntities`.
  private let isWordAware: Bool

  /// Creates the aggregator of a model with `labels`, in the order of its logits, and its tokenizer.
  package init(labels: [String], tokenizer: Tokenizer) {
    self.labels = labels
    self.tokenizer = tokenizer
    isWordAware = tokenizer.continuingSubwordPrefix != nil
  }

  /// Finds the entities of one text.
  ///
  /// - Parameters:
  ///   - text: what was encoded.
  ///   - windows: its windows, in order; more than one for a long text with overlapping windows.
  ///   - logits: of each window `[tokens, labels]`, f32, row-major.
  ///   - strategy: how tokens become entities; not `none` when there are several windows.
  ///   - ignoredLabels: labels (of the result) that are left out.
  /// - Returns: the entities, in the order of their starts.
  /// - Throws: `invalidArgument` when the lists do not fit each other.
  package func entities(
    in text: String,
    windows: [EntityWindow],
    logits: [[Float]],
    strategy: AggregationStrategy,
    ignoredLabels: [String] = ["O"]
  ) throws(GenerationError) -> [Entity] {
    try check(windows, logits, strategy)
    let scalars = Array(text.unicodeScalars)
    try checkUnknownTokens(windows, scalars.count)
    // As bytes: equal labels have equal bytes, and Swift's comparison of strings can be slow.
    let ignored = Set(ignoredLabels.map { Array($0.utf8) })
    var result: [Entity] = []
    for (window, logits) in zip(windows, logits) {
      let tokens = preEntities(scalars, window, logits)
      result += aggregate(tokens, strategy).filter { !ignored.contains(Array($0.label.utf8)) }
    }
    return windows.count > 1 ? Self.withoutOverlaps(result) : result
  }

  private func check(
    _ windows: [EntityWindow],
    _ logits: [[Float]],
    _ strategy: AggregationStrategy
  ) throws(GenerationError) {
    guard windows.count == logits.count else {
      throw GenerationError(
        .invalidArgument,
        "entities: \(windows.count) windows, logits of \(logits.count)"
      )
    }
    guard windows.count <= 1 || strategy != .none else {
      throw GenerationError(
        .invalidArgument,
        "entities: a text in \(windows.count) windows needs an aggregation strategy other than none"
      )
    }
    for (window, logits) in zip(windows, logits)
    where logits.count != window.ids.count * labels.count {
      throw GenerationError(
        .invalidArgument,
        "entities: \(window.ids.count) tokens and \(labels.count) labels, but \(logits.count) logits"
      )
    }
  }

  private func checkUnknownTokens(
    _ windows: [EntityWindow],
    _ scalarCount: Int
  ) throws(GenerationError) {
    let limit = Self.unknownScalarsMax.times * scalarCount + Self.unknownScalarsMax.more
    var count = 0
    for window in windows {
      for (id, offsets) in zip(window.ids, window.offsets) where id == tokenizer.unknownTokenID {
        count += offsets.clamped(to: 0..<scalarCount).count
        guard count <= limit else {
          throw GenerationError(
            .invalidArgument,
            "entities: the unknown tokens of a text of \(scalarCount) characters stand for more than \(limit)"
          )
        }
      }
    }
  }

  /// A token with all that aggregation needs (`gather_pre_entities`).
  struct PreEntity {
    var word: String
    let scores: LabelScores
    let offsets: Range<Int>
    let index: Int
    var isSubword: Bool
  }

  private func preEntities(
    _ text: [Unicode.Scalar],
    _ window: EntityWindow,
    _ logits: [Float]
  ) -> [PreEntity] {
    var result: [PreEntity] = []
    for index in window.ids.indices where !window.special[index] {
      let offsets = window.offsets[index]
      let written = Self.slice(text, offsets)
      var token = PreEntity(
        word: window.tokens[index],
        scores: LabelScores(
          logits: logits[index * labels.count..<(index + 1) * labels.count]
        ),
        offsets: offsets,
        index: index,
        isSubword: false
      )
      if isWordAware {
        // A token that continues a word is longer than its text, by the prefix.
        token.isSubword = token.word.unicodeScalars.count != written.count
      } else {
        // The pipeline's fallback: no space before the token, nor as its first character.
        let start = offsets.lowerBound
        token.isSubword = start > 0 && !Self.slice(text, start - 1..<start + 1).contains(" ")
      }
      if window.ids[index] == tokenizer.unknownTokenID {
        token.word = String(String.UnicodeScalarView(written))
        token.isSubword = false
      }
      result.append(token)
    }
    return result
  }

  /// Python's slice: what of `range` there is.
  private static func slice(
    _ text: [Unicode.Scalar],
    _ range: Range<Int>
  ) -> ArraySlice<Unicode.Scalar> {
    text[range.clamped(to: 0..<text.count)]
  }
}
