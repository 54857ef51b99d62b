import JSON

/// How tags mark the chunks of a row.
package enum TagScheme: String, Sendable, CaseIterable {
  /// Every chunk starts with `B-` and goes on with `I-`; also called BIO.
  case iob2
  /// Chunks are `I-`; `B-` starts one only right after another of its type.
  case iob1
  /// `B-`, `I-`, `E-` of longer chunks, `S-` of single tokens.
  case iobes
  /// As IOBES, with `L-` for `E-` and `U-` for `S-`.
  case bilou
  /// No chunks: tags are kept as they are.
  case plain

  /// The name in messages.
  package var title: String { self == .plain ? "plain" : rawValue.uppercased() }
}

/// A tag taken apart.
struct ChunkTag: Equatable {
  enum Part: Equatable { case outside, begin, inside, end, single }
  let part: Part
  /// The chunk's type; empty outside.
  let type: Substring
  /// The letter, where it says more than the part: `L` and `U` are BILOU's.
  let isBILOU: Bool

  /// Nil if the text is no tag of a chunk.
  init?(_ text: String) {
    if text == "O" {
      (part, type, isBILOU) = (.outside, "", false)
      return
    }
    let bytes = text.utf8
    guard bytes.count > 2, let letter = bytes.first,
      bytes[bytes.index(after: bytes.startIndex)] == UInt8(ascii: "-")
    else { return nil }
    switch letter {
    case UInt8(ascii: "B"): (part, isBILOU) = (.begin, false)
    case UInt8(ascii: "I"): (part, isBILOU) = (.inside, false)
    case UInt8(ascii: "E"): (part, isBILOU) = (.end, false)
    case UInt8(ascii: "S"): (part, isBILOU) = (.single, false)
    case UInt8(ascii: "L"): (part, isBILOU) = (.end, true)
    case UInt8(ascii: "U"): (part, isBILOU) = (.single, true)
    default: return nil
    }
    type = text[bytes.index(bytes.startIndex, offsetBy: 2)...]
  }

  /// Whether a chunk is open after this tag and of the type, in schemes without ends.
  func continues(_ type: Substring) -> Bool { part != .outside && self.type == type }
}

/// The tags of one row: which schemes they rule out, and what they are in IOB2.
struct TagAnalysis {
  /// The tags in IOB2; those of a scheme that is not ruled out.
  private(set) var tags: [String] = []
  /// The types of the row's chunks, in order.
  private(set) var entities: [Substring] = []
  /// Per scheme, the first tag that it does not allow there; the number of tags for the row's end.
  private var offences: [TagScheme: Int] = [:]
  private let texts: [String]

  /// Takes all tags of a row apart; throws the offending tag if one is no tag of a chunk.
  init(_ texts: [String]) throws(TagProblem) {
    self.texts = texts
    var previous: ChunkTag?
    tags.reserveCapacity(texts.count)
    for (index, text) in texts.enumerated() {
      guard let tag = ChunkTag(text) else { throw TagProblem(tag: text) }
      examine(tag, after: previous, at: index)
      normalize(tag, text, after: previous)
      previous = tag
    }
    if let previous, previous.part == .begin || previous.part == .inside {
      object(.iobes, texts.count)
      object(.bilou, texts.count)
    }
  }

  /// Why the row cannot be of a scheme; nil if it can.
  func objection(to scheme: TagScheme) -> String? {
    guard let index = offences[scheme] else { return nil }
    guard index < texts.count else { return "\(texts[index - 1].excerpt(40)) ends the row" }
    let before = index == 0 ? "at the start" : "after \(texts[index - 1].excerpt(40))"
    return "\(texts[index].excerpt(40)) \(before)"
  }

  private mutating func object(_ scheme: TagScheme, _ index: Int) {
    if offences[scheme] == nil { offences[scheme] = index }
  }

  private mutating func examine(_ tag: ChunkTag, after previous: ChunkTag?, at index: Int) {
    let isContinued = tag.part != .outside && previous?.continues(tag.type) == true
    switch tag.part {
    case .outside: break
    case .begin:
      if !isContinued { object(.iob1, index) }
    case .inside:
      if !isContinued { object(.iob2, index) }
    case .end, .single:
      object(.iob1, index)
      object(.iob2, index)
      object(tag.isBILOU ? .iobes : .bilou, index)
    }
    let isOpen = previous?.part == .begin || previous?.part == .inside
    let goesOn = tag.part == .inside || tag.part == .end
    if isOpen != goesOn || (isOpen && !isContinued) {
      object(.iobes, index)
      object(.bilou, index)
    }
  }

  private mutating func normalize(_ tag: ChunkTag, _ text: String, after previous: ChunkTag?) {
    switch tag.part {
    case .outside:
      tags.append(text)
    case .begin, .single:
      entities.append(tag.type)
      tags.append("B-\(tag.type)")
    case .inside, .end:
      if previous?.continues(tag.type) == true {
        tags.append("I-\(tag.type)")
      } else {
        entities.append(tag.type)
        tags.append("B-\(tag.type)")
      }
    }
  }
}

/// A tag that belongs to no scheme.
struct TagProblem: Error {
  let tag: String
}

/// Finds out the scheme of a dataset row by row, in constant memory.
struct TagSchemeDetector {
  /// The schemes that can be found, the most usual one first.
  static let candidates: [TagScheme] = [.iob2, .iob1, .iobes, .bilou]
  /// What ruled out a scheme first.
  private var refutations: [TagScheme: String] = [:]

  /// Takes a row into account.
  mutating func add(_ analysis: TagAnalysis, at place: @autoclosure () -> String) {
    for scheme in Self.candidates where refutations[scheme] == nil {
      guard let reason = analysis.objection(to: scheme) else { continue }
      refutations[scheme] = "\(place()): \(reason)"
    }
  }

  /// The scheme that fits all rows; nil if none does.
  var scheme: TagScheme? { Self.candidates.first { refutations[$0] == nil } }

  /// What rules out each scheme, for people.
  var conflict: String {
    Self.candidates.compactMap { scheme in
      refutations[scheme].map { "not \(scheme.title) (\($0))" }
    }.joined(separator: ", ")
  }
}
