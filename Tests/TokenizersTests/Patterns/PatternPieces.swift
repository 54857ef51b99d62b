@testable import Tokenizers

extension SplitPattern {
  /// The matches in a text, in a folder of bytes before and behind it that are not to be seen.
  func matches(_ text: [UInt8]) throws -> [Range<Int>] {
    let framed = Array("ab1 ".utf8) + text + Array(" \n1a".utf8)
    return try framed.withUnsafeBufferPointer { bytes in
      var matches: [Range<Int>] = []
      try forEachMatch(in: bytes, 4..<4 + text.count) { match in
        matches.append(match.lowerBound - 4..<match.upperBound - 4)
      }
      return matches
    }
  }

  func matches(_ text: String) throws -> [String] {
    let utf8 = Array(text.utf8)
    return try matches(utf8).map { String(decoding: utf8[$0], as: UTF8.self) }
  }

  /// The lengths of the pieces, in bytes.
  func pieceLengths(_ text: [UInt8]) throws -> [Int] {
    try text.withUnsafeBufferPointer { bytes in
      var lengths: [Int] = []
      try forEachPiece(in: bytes, 0..<text.count) { lengths.append($0.count) }
      return lengths
    }
  }

  func pieces(_ text: String) throws -> [String] {
    var rest = Array(text.utf8)[...]
    return try pieceLengths(Array(text.utf8)).map { length in
      defer { rest = rest.dropFirst(length) }
      return String(decoding: rest.prefix(length), as: UTF8.self)
    }
  }
}

/// Where PCRE2's tables and ours, which are those of Hugging Face `tokenizers`, differ.
enum PCRE2Tables {
  /// Each scalar that they have in different classes.
  static let differences = Result {
    var text: [UInt8] = []
    var scalars: [(scalar: UInt32, start: Int)] = []
    for scalar in UInt32(0)...0x10FFFF where Unicode.Scalar(scalar) != nil {
      scalars.append((scalar, text.count))
      text.append(scalar: scalar)
    }
    var differences = Set<UInt32>()
    for name in classes {
      let ours = try members(SplitPattern(name), text)
      let theirs = try members(SplitPattern(compiling: name), text)
      for (scalar, start) in scalars where ours[start] != theirs[start] {
        differences.insert(scalar)
      }
    }
    return differences
  }

  private static let classes = [
    #"[\p{L}]+"#, #"[\p{Ll}]+"#, #"[\p{M}]+"#, #"[\p{N}]+"#, #"\d+"#, #"\s+"#, #"[\p{P}]+"#,
    #"[\p{S}]+"#, #"[\p{Han}]+"#,
  ]

  private static func members(_ pattern: SplitPattern, _ text: [UInt8]) throws -> [Bool] {
    var members = [Bool](repeating: false, count: text.count)
    try text.withUnsafeBufferPointer { bytes in
      try pattern.forEachMatch(in: bytes, 0..<text.count) { match in
        for index in match { members[index] = true }
      }
    }
    return members
  }
}
