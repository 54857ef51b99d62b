/// The second step of the pipeline: splits normalized text into pieces ("words"), which the model
/// then tokenizes one by one.
enum PreTokenizer: Sendable {
  case bert(BertPreTokenizer)
  case byteLevel(ByteLevelPreTokenizer)

  /// Builds the component that `section` (a `pre_tokenizer` of tokenizer.json) describes.
  init(_ section: JSONSection) throws(TokenizerError) {
    switch try section.word("type") {
    case "BertPreTokenizer": self = .bert(BertPreTokenizer())
    case "ByteLevel": self = .byteLevel(try ByteLevelPreTokenizer(section))
    case let type:
      throw TokenizerError(
        .unsupported,
        "\(section.path): pre_tokenizer \"\(type)\" is not supported"
      )
    }
  }

  /// Appends the pieces of `bytes[range]` (UTF-8) in order; none is empty.
  func split(_ bytes: [UInt8], _ range: Range<Int>, into pieces: inout [Range<Int>]) {
    switch self {
    case .bert(let preTokenizer): preTokenizer.split(bytes, range, into: &pieces)
    case .byteLevel(let preTokenizer): preTokenizer.split(bytes, range, into: &pieces)
    }
  }
}

/// Splits at white space, which goes, and around punctuation, which stays.
struct BertPreTokenizer: Sendable {
  private let classes = ScalarClasses.shared

  func split(_ bytes: [UInt8], _ range: Range<Int>, into pieces: inout [Range<Int>]) {
    var start = range.lowerBound
    var index = start
    while index < range.upperBound {
      let (scalar, length) = bytes.scalar(at: index)
      let members = classes[scalar]
      if !members.isDisjoint(with: [.whitespace, .punctuation]) {
        if start < index { pieces.append(start..<index) }
        if members.contains(.punctuation) { pieces.append(index..<index + length) }
        start = index + length
      }
      index += length
    }
    if start < range.upperBound { pieces.append(start..<range.upperBound) }
  }
}

/// Splits as GPT-2 does; the model then reads the bytes of each piece.
///
/// The pattern is `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;
/// its alternatives exclude each other after the first scalars, so one look ahead replaces a
/// regular expression engine.
struct ByteLevelPreTokenizer: Sendable {
  private let classes = ScalarClasses.shared
  private let usesPattern: Bool

  /// Splits by the pattern, without a space before the text.
  init() { usesPattern = true }

  init(_ section: JSONSection) throws(TokenizerError) {
    guard try !section.bool("add_prefix_space") else {
      throw TokenizerError(
        .unsupported,
        "\(section.path): \"add_prefix_space\": true is not supported"
      )
    }
    usesPattern = try section.bool("use_regex", default: true)
  }

  func split(_ bytes: [UInt8], _ range: Range<Int>, into pieces: inout [Range<Int>]) {
    guard usesPattern else {
      if !range.isEmpty { pieces.append(range) }
      return
    }
    var index = range.lowerBound
    while index < range.upperBound {
      let end = pieceEnd(bytes, from: index, end: range.upperBound)
      pieces.append(index..<end)
      index = end
    }
  }

  private func pieceEnd(_ bytes: [UInt8], from start: Int, end: Int) -> Int {
    let first = bytes[start]
    if first == UInt8(ascii: "'"), let end = contractionEnd(bytes, from: start, end: end) {
      return end
    }
    var index = start
    var (scalar, length) = bytes.scalar(at: index)
    var kind = classes[scalar].intersection(Self.kinds)
    if first == 0x20, start + 1 < end {
      let (next, nextLength) = bytes.scalar(at: start + 1)
      let nextKind = classes[next].intersection(Self.kinds)
      if nextKind != .whitespace {
        index += 1
        (scalar, length, kind) = (next, nextLength, nextKind)
      }
    }
    // A run of one kind: letters, numbers, white space or anything else.
    var last = index
    index += length
    while index < end {
      (scalar, length) = bytes.scalar(at: index)
      guard classes[scalar].intersection(Self.kinds) == kind else { break }
      last = index
      index += length
    }
    // `\s+(?!\S)`: the last space before a word goes to the word's piece, or stands alone.
    if kind == .whitespace, index < end, last > start { return last }
    return index
  }

  private static let kinds: ScalarClasses.Members = [.letter, .number, .whitespace]

  private func contractionEnd(_ bytes: [UInt8], from start: Int, end: Int) -> Int? {
    guard start + 1 < end else { return nil }
    switch bytes[start + 1] {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
      return start + 2
    case UInt8(ascii: "r"), UInt8(ascii: "v"):
      return start + 2 < end && bytes[start + 2] == UInt8(ascii: "e") ? start + 3 : nil
    case UInt8(ascii: "l"):
      return start + 2 < end && bytes[start + 2] == UInt8(ascii: "l") ? start + 3 : nil
    default: return nil
    }
  }
}
