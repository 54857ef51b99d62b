internal import Tokenizers

/// The steps from tokens to entities, named as in the pipeline.
extension EntityAggregator {
  /// `aggregate`.
  func aggregate(_ tokens: [PreEntity], _ strategy: AggregationStrategy) -> [Entity] {
    switch strategy {
    case .none: tokens.map { entity($0) }
    case .simple: group(tokens.map { entity($0) })
    case .first, .average, .max: group(words(tokens, strategy))
    }
  }

  private func entity(_ token: PreEntity) -> Entity {
    let best = token.scores.best
    return Entity(
      label: labels[best],
      score: token.scores.values[best],
      word: token.word,
      start: token.offsets.lowerBound,
      end: token.offsets.upperBound,
      index: token.index
    )
  }

  /// `aggregate_words`: tokens of a word become one, with one label.
  private func words(_ tokens: [PreEntity], _ strategy: AggregationStrategy) -> [Entity] {
    var words: [Entity] = []
    var current: [PreEntity] = []
    for token in tokens {
      if !current.isEmpty, !token.isSubword {
        words.append(word(current, strategy))
        current.removeAll()
      }
      current.append(token)
    }
    if !current.isEmpty { words.append(word(current, strategy)) }
    return words
  }

  /// `aggregate_word`; `tokens` is not empty.
  private func word(_ tokens: [PreEntity], _ strategy: AggregationStrategy) -> Entity {
    let scores: LabelScores
    switch strategy {
    case .average: scores = LabelScores.mean(tokens.map(\.scores))
    case .max:
      // The first of the most certain tokens.
      var chosen = tokens[0].scores
      for token in tokens where token.scores.values[token.scores.best] > chosen.values[chosen.best]
      {
        chosen = token.scores
      }
      scores = chosen
    case .none, .simple, .first: scores = tokens[0].scores
    }
    let best = scores.best
    return Entity(
      label: labels[best],
      score: scores.values[best],
      word: tokenizer.text(ofTokens: tokens.map(\.word)),
      start: tokens[0].offsets.lowerBound,
      end: tokens[tokens.count - 1].offsets.upperBound
    )
  }

  /// `group_entities`: neighbours of the same tag become one, unless the later one begins anew.
  private func group(_ entities: [Entity]) -> [Entity] {
    var groups: [Entity] = []
    var current: [Entity] = []
    for entity in entities {
      if let last = current.last {
        let (begins, tag) = Self.tag(entity.label)
        if begins || !tag.elementsEqual(Self.tag(last.label).tag) {
          groups.append(merge(current))
          current.removeAll()
        }
      }
      current.append(entity)
    }
    if !current.isEmpty { groups.append(merge(current)) }
    return groups
  }

  /// `group_sub_entities`; `entities` is not empty.
  private func merge(_ entities: [Entity]) -> Entity {
    // What is after the first hyphen, whatever is before it; not the same as `tag`.
    let label = entities[0].label
    let parts = label.utf8.split(
      separator: UInt8(ascii: "-"),
      maxSplits: 1,
      omittingEmptySubsequences: false
    )
    return Entity(
      label: parts.last.map { String(Substring($0)) } ?? label,
      score: nanMean(entities.map(\.score)),
      word: tokenizer.text(ofTokens: entities.map(\.word)),
      start: entities[0].start,
      end: entities[entities.count - 1].end
    )
  }

  /// `get_tag`: whether a label begins an entity, and its tag; a label without prefix continues.
  ///
  /// As UTF-8, which compares in linear time.
  static func tag(_ label: String) -> (begins: Bool, tag: Substring.UTF8View) {
    let bytes = label.utf8
    if bytes.starts(with: "B-".utf8) { return (true, bytes.dropFirst(2)) }
    if bytes.starts(with: "I-".utf8) { return (false, bytes.dropFirst(2)) }
    return (false, bytes[...])
  }

  /// `aggregate_overlapping_entities`: of entities that overlap, found in different windows, the longest
  /// stays; of equally long ones the likeliest.
  static func withoutOverlaps(_ entities: [Entity]) -> [Entity] {
    let ordered = entities.enumerated()
      .sorted { ($0.element.start, $0.offset) < ($1.element.start, $1.offset) }
      .map(\.element)
    guard var previous = ordered.first else { return [] }
    var result: [Entity] = []
    // The first one meets itself, as in the pipeline: one without extent is then reported twice.
    for entity in ordered {
      if previous.start <= entity.start, entity.start < previous.end {
        let length = entity.end - entity.start
        let previousLength = previous.end - previous.start
        if length > previousLength || length == previousLength && entity.score > previous.score {
          previous = entity
        }
      } else {
        result.append(previous)
        previous = entity
      }
    }
    result.append(previous)
    return result
  }
}
