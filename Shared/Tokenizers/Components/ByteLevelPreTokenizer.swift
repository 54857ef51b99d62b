import JSON

/// Splits by patterns, one after the other; the model then reads the bytes of each piece.
///
/// This is what `ByteLevel` of tokenizer.json does, and a `Sequence` of `Split` that ends with it, as
/// models since Llama 3 have them. To write the bytes as characters, which `ByteLevel` also does, is left to the
/// vocabulary.
struct ByteLevelPreTokenizer: Sendable {
  /// Components of a `Sequence`.
  private static let componentsMax = 32

  private let patterns: [SplitPattern]

  /// Splits as GPT-2 does.
  init() throws(TokenizerError) {
    patterns = [try SplitPattern(KnownPatterns.gpt2)]
  }

  /// Takes a `ByteLevel`, or a `Sequence` whose last component is one.
  init(_ section: JSONSection) throws(TokenizerError) {
    guard try section.word("type") == "Sequence" else {
      patterns = try Self.patterns(ofByteLevel: section)
      return
    }
    let components = try section.array("pretokenizers")
    guard (1...Self.componentsMax).contains(components.count) else {
      throw TokenizerError(
        .unsupported,
        "\(section.path).pretokenizers has \(components.count) components; 1 to "
          + "\(Self.componentsMax) are supported"
      )
    }
    var patterns: [SplitPattern] = []
    for (index, component) in components.enumerated() {
      let path = "\(section.path).pretokenizers[\(index)]"
      let component = try JSONSection(component, path: path)
      let isLast = index == components.count - 1
      switch try component.word("type") {
      case "ByteLevel" where isLast: patterns += try Self.patterns(ofByteLevel: component)
      case "Split" where !isLast: patterns.append(try Self.pattern(ofSplit: component))
      case let type:
        throw TokenizerError(
          .unsupported,
          "\(path): pre_tokenizer \"\(type)\" is not supported at this place of a sequence, "
            + "which must end with \"ByteLevel\""
        )
      }
    }
    self.patterns = patterns
  }

  private static func patterns(
    ofByteLevel section: JSONSection
  ) throws(TokenizerError) -> [SplitPattern] {
    guard try !section.bool("add_prefix_space") else {
      throw TokenizerError(
        .unsupported,
        "\(section.path): \"add_prefix_space\": true is not supported"
      )
    }
    return try section.bool("use_regex", default: true)
      ? [try SplitPattern(KnownPatterns.gpt2)] : []
  }

  private static func pattern(ofSplit section: JSONSection) throws(TokenizerError) -> SplitPattern {
    let behavior = try section.word("behavior")
    guard behavior == "Isolated" else {
      throw TokenizerError(
        .unsupported,
        "\(section.path).behavior: \"\(behavior)\" is not supported"
      )
    }
    // Matches and what lies between them are pieces alike: inverted or not is the same.
    guard let pattern = try section.section("pattern") else {
      throw TokenizerError(.invalidFile, "\(section.path).pattern is missing")
    }
    do {
      if pattern.object["Regex"] != nil { return try SplitPattern(pattern.string("Regex")) }
      return try SplitPattern(escaping(pattern.string("String")))
    } catch {
      throw TokenizerError(error.code, "\(pattern.path): \(error.message)", cause: error)
    }
  }

  /// The pattern that matches a text and nothing else.
  private static func escaping(_ text: String) -> String {
    var pattern = ""
    for scalar in text.unicodeScalars {
      if scalar.isASCII, !scalar.properties.isAlphabetic, scalar.properties.numericType == nil {
        pattern.unicodeScalars.append("\\")
      }
      pattern.unicodeScalars.append(scalar)
    }
    return pattern
  }

  func split(
    _ bytes: [UInt8],
    _ range: Range<Int>,
    into pieces: inout [Range<Int>]
  ) throws(TokenizerError) {
    let failure = bytes.withUnsafeBufferPointer { bytes -> TokenizerError? in
      do throws(TokenizerError) {
        try patterns.forEachPiece(in: bytes, range) { piece throws(TokenizerError) in
          pieces.append(piece)
        }
        return nil
      } catch {
        return error
      }
    }
    if let failure { throw failure }
  }
}
