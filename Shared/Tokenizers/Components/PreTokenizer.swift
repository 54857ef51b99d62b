/// The second step of the pipeline: splits normalized text into pieces ("words"), which the model
/// then tokenizes one by one.
enum PreTokenizer: Sendable {
  case bert(BertPreTokenizer)
  case byteLevel(ByteLevelPreTokenizer)

  /// Builds the component that `section` (a `pre_tokenizer` of tokenizer.json) describes.
  init(_ section: JSONSection) throws(TokenizerError) {
    switch try section.word("type") {
    case "BertPreTokenizer": self = .bert(BertPreTokenizer())
    case "ByteLevel", "Sequence": self = .byteLevel(try ByteLevelPreTokenizer(section))
    case let type:
      throw TokenizerError(
        .unsupported,
        "\(section.path): pre_tokenizer \"\(type)\" is not supported"
      )
    }
  }

  /// Appends the pieces of `bytes[range]` (UTF-8) in order; none is empty.
  ///
  /// Throws `limitExceeded` when an unusual pattern costs too much on this text.
  func split(
    _ bytes: [UInt8],
    _ range: Range<Int>,
    into pieces: inout [Range<Int>]
  ) throws(TokenizerError) {
    switch self {
    case .bert(let preTokenizer): preTokenizer.split(bytes, range, into: &pieces)
    case .byteLevel(let preTokenizer): try preTokenizer.split(bytes, range, into: &pieces)
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
