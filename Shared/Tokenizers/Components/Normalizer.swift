/// The first step of the pipeline: rewrites text before it is split.
enum Normalizer: Sendable {
  case bert(BertNormalizer)

  /// Builds the component that `section` (a `normalizer` of tokenizer.json) describes.
  init(_ section: JSONSection) throws(TokenizerError) {
    switch try section.word("type") {
    case "BertNormalizer": self = .bert(try BertNormalizer(section))
    case let type:
      throw TokenizerError(.unsupported, "\(section.path): normalizer \"\(type)\" is not supported")
    }
  }

  /// Normalizes `bytes[range]`, whose first scalar is number `firstScalar` of the text.
  func normalize(_ bytes: [UInt8], _ range: Range<Int>, firstScalar: Int) -> NormalizedText {
    switch self {
    case .bert(let normalizer): normalizer.normalize(bytes, range, firstScalar: firstScalar)
    }
  }
}
