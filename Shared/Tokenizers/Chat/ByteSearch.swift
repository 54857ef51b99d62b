/// Finds a text in others in linear time (Knuth, Morris and Pratt, 1977), so that no template can
/// make a search quadratic.
struct ByteSearch {
  /// What the search for a byte takes, in bytes.
  static let costPerByte = 9

  private let part: [UInt8]
  private let fallback: [Int]

  init(_ part: [UInt8]) {
    self.part = part
    var fallback = [Int](repeating: 0, count: max(part.count, 1))
    var matched = 0
    for index in part.indices.dropFirst() {
      while matched > 0, part[index] != part[matched] { matched = fallback[matched - 1] }
      if part[index] == part[matched] { matched += 1 }
      fallback[index] = matched
    }
    self.fallback = fallback
  }

  func first(in text: [UInt8]) -> Int? { all(in: text, max: 1).first }

  /// Where it begins, from the left and without overlaps; an empty part is nowhere.
  func all(in text: [UInt8], max: Int = .max) -> [Int] {
    if part.isEmpty { return max > 0 ? [0] : [] }
    var positions: [Int] = []
    var matched = 0
    for (index, byte) in text.enumerated() {
      if positions.count >= max { break }
      while matched > 0, byte != part[matched] { matched = fallback[matched - 1] }
      if byte == part[matched] { matched += 1 }
      if matched == part.count {
        positions.append(index + 1 - part.count)
        matched = 0
      }
    }
    return positions
  }

  /// Where it begins, found from the right and without overlaps; the last comes first.
  static func allFromEnd(_ part: [UInt8], in text: [UInt8], max: Int = .max) -> [Int] {
    ByteSearch(part.reversed()).all(in: text.reversed(), max: max).map {
      text.count - $0 - part.count
    }
  }
}
