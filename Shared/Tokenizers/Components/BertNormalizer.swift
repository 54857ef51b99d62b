/// BERT's normalization: cleaning, spaces around CJK ideographs, accent stripping, lower case.
///
/// Follows `normalizers/bert.rs` of Hugging Face tokenizers, offsets included.
struct BertNormalizer: Sendable {
  let cleansText: Bool
  let spacesIdeographs: Bool
  let stripsAccents: Bool
  let lowercases: Bool
  private let classes = ScalarClasses.shared

  init(_ section: JSONSection) throws(TokenizerError) {
    cleansText = try section.bool("clean_text", default: true)
    spacesIdeographs = try section.bool("handle_chinese_chars", default: true)
    lowercases = try section.bool("lowercase", default: true)
    // Unless told otherwise, accents go when case does.
    stripsAccents = try section.bool("strip_accents", default: lowercases)
  }

  func normalize(_ bytes: [UInt8], _ range: Range<Int>, firstScalar: Int) -> NormalizedText {
    var scalars: [UInt32] = []
    var origins: [NormalizedText.Origin] = []
    scalars.reserveCapacity(range.count)
    origins.reserveCapacity(range.count)
    var index = range.lowerBound
    var number = Int32(firstScalar)
    var needsDecomposition = false
    while index < range.upperBound {
      let (scalar, length) = bytes.scalar(at: index)
      index += length
      let origin = NormalizedText.Origin(start: number, end: number + 1)
      number += 1
      let members = classes[scalar]
      if members.contains(.decomposes) { needsDecomposition = true }
      if cleansText {
        if members.contains(.removed) { continue }
        if members.contains(.whitespace) {
          scalars.append(0x20)
          origins.append(origin)
          continue
        }
      }
      if spacesIdeographs, Self.isIdeograph(scalar) {
        scalars += [0x20, scalar, 0x20]
        origins += [origin, origin, origin]
        continue
      }
      scalars.append(scalar)
      origins.append(origin)
    }
    if stripsAccents {
      if needsDecomposition { decompose(&scalars, &origins) }
      removeMarks(&scalars, &origins)
    }
    return finish(scalars, origins)
  }

  /// Lower case and UTF-8.
  private func finish(
    _ scalars: [UInt32],
    _ origins: [NormalizedText.Origin]
  ) -> NormalizedText {
    var text = NormalizedText(utf8: [], origins: [])
    text.utf8.reserveCapacity(scalars.count)
    text.origins.reserveCapacity(scalars.count)
    var lower: [UInt32] = []
    for (scalar, origin) in zip(scalars, origins) {
      if lowercases, classes[scalar].contains(.lowers) {
        if scalar < 0x80 {
          text.utf8.append(UInt8(scalar) + 0x20)
          text.origins.append(origin)
          continue
        }
        lower.removeAll(keepingCapacity: true)
        CanonicalDecomposition.appendLowercase(scalar, to: &lower)
        for scalar in lower {
          text.utf8.append(scalar: scalar)
          text.origins.append(origin)
        }
      } else {
        text.utf8.append(scalar: scalar)
        text.origins.append(origin)
      }
    }
    return text
  }

  private func removeMarks(_ scalars: inout [UInt32], _ origins: inout [NormalizedText.Origin]) {
    guard scalars.contains(where: { classes[$0].contains(.mark) }) else { return }
    var kept = 0
    for index in scalars.indices where !classes[scalars[index]].contains(.mark) {
      scalars[kept] = scalars[index]
      origins[kept] = origins[index]
      kept += 1
    }
    scalars.removeLast(scalars.count - kept)
    origins.removeLast(origins.count - kept)
  }

  /// NFD.
  ///
  /// The first scalar of each decomposition takes the next origin, the others share the origin
  /// before: after marks were reordered these are not always those they came from, and that is what
  /// Hugging Face's offsets say, too.
  private func decompose(_ scalars: inout [UInt32], _ origins: inout [NormalizedText.Origin]) {
    struct Piece {
      var scalar: UInt32
      var combiningClass: UInt8
      var isFirst: Bool
    }
    var pieces: [Piece] = []
    pieces.reserveCapacity(scalars.count)
    var runStart = 0
    func sortRun(_ pieces: inout [Piece]) {
      guard pieces.count - runStart > 1 else { return }
      // Swift's sort is stable, as the algorithm demands (it documents this since 5.8).
      pieces[runStart...].sort { $0.combiningClass < $1.combiningClass }
    }
    var parts: [UInt32] = []
    for scalar in scalars {
      parts.removeAll(keepingCapacity: true)
      if classes[scalar].contains(.decomposes) {
        CanonicalDecomposition.append(scalar, to: &parts)
      } else {
        parts.append(scalar)
      }
      for (number, part) in parts.enumerated() {
        let combiningClass = CanonicalDecomposition.combiningClass(part, classes)
        if combiningClass == 0 {
          sortRun(&pieces)
          runStart = pieces.count
        }
        pieces.append(Piece(scalar: part, combiningClass: combiningClass, isFirst: number == 0))
      }
    }
    sortRun(&pieces)

    var next = 0
    var decomposed: [NormalizedText.Origin] = []
    decomposed.reserveCapacity(pieces.count)
    for piece in pieces {
      if piece.isFirst {
        decomposed.append(origins[next])
        next += 1
      } else {
        // HF aligns a scalar inserted before everything with nothing; NFD cannot do that.
        decomposed.append(next > 0 ? origins[next - 1] : .init(start: 0, end: 0))
      }
    }
    scalars = pieces.map(\.scalar)
    origins = decomposed
  }

  /// The blocks that BERT calls Chinese: the ideographs, not kana or Hangul.
  private static func isIdeograph(_ scalar: UInt32) -> Bool {
    guard scalar >= 0x3400 else { return false }
    switch scalar {
    case 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xF900...0xFAFF, 0x20000...0x2A6DF,
      0x2A700...0x2B73F, 0x2B740...0x2B81F, 0x2B920...0x2CEAF, 0x2F800...0x2FA1F:
      return true
    default: return false
    }
  }
}
