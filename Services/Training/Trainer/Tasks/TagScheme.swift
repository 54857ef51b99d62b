/// How the tags of a data set mark entities.
///
/// The schemes are those of Ramshaw and Marcus, "Text Chunking using Transformation-Based
/// Learning", 1995 (IOB1), and what grew from them.
enum TagScheme: String, Sendable {
  /// `I-X`, and `B-X` only where two entities of a type touch.
  case iob1 = "IOB1"
  /// `B-X` begins each entity.
  case iob2 = "IOB2"
  /// `S-X` (or `U-X`) for entities of one word, `E-X` (or `L-X`) ends longer ones.
  case iobes = "IOBES"
  /// Tags that are not those of entities, for example parts of speech.
  case plain = "other"

  /// A tag taken apart.
  struct Tag: Equatable {
    /// The letter before the hyphen; O for no entity.
    let prefix: UInt8
    /// The type of entity; empty for O.
    let type: String

    /// Reads a tag; nil if it is not one of entities.
    init?(_ name: String) {
      let utf8 = name.utf8
      guard let first = utf8.first else { return nil }
      if utf8.count == 1, first == UInt8(ascii: "O") {
        prefix = first
        type = ""
        return
      }
      guard utf8.count > 2, utf8.dropFirst().first == UInt8(ascii: "-"),
        "BIESLU".utf8.contains(first), let type = String(utf8.dropFirst(2))
      else { return nil }
      prefix = first
      self.type = type
    }

    var isOutside: Bool { prefix == UInt8(ascii: "O") }
    var isInside: Bool { prefix == UInt8(ascii: "I") }

    fileprivate func isSameType(_ other: Tag) -> Bool {
      type.utf8.elementsEqual(other.type.utf8)
    }
  }

  /// Whether an I-tag after `previous` has to be the first of an entity.
  private static func begins(_ tag: Tag, after previous: Tag?) -> Bool {
    guard let previous, !previous.isOutside else { return true }
    return !tag.isSameType(previous)
  }

  /// The scheme of `rows`, lists of indices into `names`.
  ///
  /// Both IOB schemes write the same letters: it is IOB1 where more entities begin with I than B.
  /// A few wrong tags in IOB2 data stay as they are.
  static func detect(names: [String], rows: some Sequence<ArraySlice<UInt32>>) -> TagScheme {
    let tags = names.map { Tag($0) }
    guard !tags.contains(nil) else { return .plain }
    guard !tags.contains(where: { "ESLU".utf8.contains($0?.prefix ?? 0) }) else { return .iobes }
    var beginningI = 0
    var beginningB = 0
    for row in rows {
      var previous: Tag?
      for index in row {
        let tag = tags[Int(index)]
        if let tag, tag.isInside {
          beginningI += begins(tag, after: previous) ? 1 : 0
        } else if let tag, !tag.isOutside {
          beginningB += 1
        }
        previous = tag
      }
    }
    return beginningI > beginningB ? .iob1 : .iob2
  }

  /// The tags of a row in IOB2; plain tags stay as they are.
  func iob2(_ row: [String]) -> [String] {
    switch self {
    case .plain, .iob2: return row
    case .iobes:
      return row.map { name in
        guard let tag = Tag(name), !tag.isOutside else { return name }
        return "ESLU".utf8.contains(tag.prefix) ? Self.replaced(tag) : name
      }
    case .iob1:
      var previous: Tag?
      return row.map { name in
        let tag = Tag(name)
        defer { previous = tag }
        guard let tag, tag.isInside, Self.begins(tag, after: previous) else { return name }
        return "B-\(tag.type)"
      }
    }
  }

  private static func replaced(_ tag: Tag) -> String {
    let isSingle = tag.prefix == UInt8(ascii: "S") || tag.prefix == UInt8(ascii: "U")
    return (isSingle ? "B-" : "I-") + tag.type
  }

  /// The labels of a model for tags: of entities `O`, then `B-X` and `I-X` for each type in order;
  /// plain tags in order.
  func labels(of names: [String]) -> [String] {
    guard self != .plain else { return NameTable(names).sorted }
    var types = NameTable()
    for name in names {
      if let tag = Tag(name), !tag.isOutside { _ = types.index(of: tag.type) }
    }
    return ["O"] + types.sorted.flatMap { ["B-\($0)", "I-\($0)"] }
  }
}
