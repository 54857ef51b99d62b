/// Counts entities found in sequences of tags, in constant memory, as seqeval does in its default
/// mode (the semantics of conlleval).
///
/// Reads IOB1, IOB2 and IOBES alike: an entity ends where the next tag cannot belong to it. Tags
/// that are none of these are read as seqeval reads them: the first character is the tag, what
/// follows its hyphen the type.
package struct EntityScorer: Sendable {
  private var types = LabelTable()
  private var counts: [Counts] = []
  private var actual = ChunkReader()
  private var predicted = ChunkReader()
  /// Tags seen before, parsed.
  private var tags = LabelTable()
  private var parsed: [Tag] = []
  private var tokens = 0
  private var rightTokens = 0
  /// The position in all sequences, each followed by one tag that is outside.
  private var position = 0

  /// Creates a scorer that has counted nothing.
  package init() {}

  /// Counts one sequence.
  /// - Throws: `invalidArgument` for sequences of different lengths, `limitExceeded` for more
  ///   different tags than `ReportLimits.labelsMax`; nothing is counted then.
  package mutating func add(
    actual actualTags: some Collection<String>,
    predicted predictedTags: some Collection<String>
  ) throws(ReportError) {
    guard actualTags.count == predictedTags.count else {
      throw ReportError(
        .invalidArgument,
        "entities: \(actualTags.count) tags, \(predictedTags.count) predictions"
      )
    }
    var pairs: [(Int, Int)] = []
    for (a, p) in zip(actualTags, predictedTags) { pairs.append((try number(a), try number(p))) }
    for (a, p) in pairs {
      tokens += 1
      rightTokens += a == p ? 1 : 0
      advance(parsed[a], parsed[p])
    }
    advance(.outside(type: try type("_")), .outside(type: try type("_")))
  }

  private mutating func advance(_ actualTag: Tag, _ predictedTag: Tag) {
    let a = actual.read(actualTag, at: position)
    let p = predicted.read(predictedTag, at: position)
    if let a { counts[a.type].actual += 1 }
    if let p { counts[p.type].predicted += 1 }
    // Both end here: they are the same entity if they began together, too.
    if let a, let p, a == p { counts[a.type].correct += 1 }
    position += 1
  }

  private mutating func number(_ tag: String) throws(ReportError) -> Int {
    let number = try tags.number(of: tag)
    if number == parsed.count { parsed.append(try parse(tag)) }
    return number
  }

  private mutating func type(_ name: String) throws(ReportError) -> Int {
    let type = try types.number(of: name)
    if type == counts.count { counts.append(Counts()) }
    return type
  }

  /// The first scalar, and what follows the hyphen after it; an empty tag is outside.
  private mutating func parse(_ tag: String) throws(ReportError) -> Tag {
    guard let first = tag.unicodeScalars.first else { return .outside(type: try type("_")) }
    let rest = tag.unicodeScalars.dropFirst()
    let parts = rest.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
    let name = parts.last.map { String($0) } ?? ""
    return Tag(mark: first, type: try type(name.isEmpty ? "_" : name))
  }

  /// The report of what has been counted, types in the order of their characters.
  package var report: ScoreReport {
    let rows = types.sorted.filter { counts[$0].actual + counts[$0].predicted > 0 }.map {
      NamedScores(name: types.labels[$0], scores: Scores(counts[$0], .seqeval))
    }
    let scores = rows.map(\.scores)
    let micro = Scores(counts.reduce(Counts(), +), .seqeval)
    return ScoreReport(
      classes: rows,
      averages: [
        NamedScores(name: "micro avg", scores: micro),
        NamedScores(name: "macro avg", scores: .average(scores, isWeighted: false)),
        NamedScores(name: "weighted avg", scores: .average(scores, isWeighted: true)),
      ],
      accuracy: tokens == 0 ? 0 : Double(rightTokens) / Double(tokens)
    )
  }
}

/// A tag: its mark (B, I, E, S, O or another character) and the number of its type.
private struct Tag: Sendable, Equatable {
  var mark: Unicode.Scalar
  var type: Int

  static func outside(type: Int) -> Tag { Tag(mark: "O", type: type) }
}

/// Finds entities in a stream of tags: `get_entities` of seqeval, with its treatment of tags that
/// follow no scheme.
private struct ChunkReader: Sendable {
  /// An entity that has ended before the current position.
  struct Chunk: Equatable {
    let type: Int
    let begin: Int
  }

  /// -1: no type yet, unlike any.
  private var previous = Tag(mark: "O", type: -1)
  private var begin = 0

  /// Reads the tag at `position`; the entity that ended just before, if one did.
  mutating func read(_ tag: Tag, at position: Int) -> Chunk? {
    let chunk = ends(before: tag) ? Chunk(type: previous.type, begin: begin) : nil
    if starts(at: tag) { begin = position }
    previous = tag
    return chunk
  }

  private func ends(before tag: Tag) -> Bool {
    switch (previous.mark, tag.mark) {
    case ("E", _), ("S", _): return true
    case ("B", "B"), ("B", "S"), ("B", "O"), ("I", "B"), ("I", "S"), ("I", "O"): return true
    case ("O", _), (".", _): return false
    default: return previous.type != tag.type
    }
  }

  private func starts(at tag: Tag) -> Bool {
    switch (previous.mark, tag.mark) {
    case (_, "B"), (_, "S"): return true
    case ("E", "E"), ("E", "I"), ("S", "E"), ("S", "I"), ("O", "E"), ("O", "I"): return true
    case (_, "O"), (_, "."): return false
    default: return previous.type != tag.type
    }
  }
}
