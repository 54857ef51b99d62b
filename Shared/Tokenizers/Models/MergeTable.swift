import JSON

/// Which pairs of tokens merge, in which order, and to what.
struct MergeTable: Sendable {
  /// The rank of a pair that does not merge.
  static let none = UInt32.max

  /// The token that the merge of each rank makes.
  private let results: [UInt32]
  /// Open addressing with linear probing over pairs `left << 32 | right`.
  private let pairs: [UInt64]
  private let ranks: [UInt32]
  private let seed: UInt64

  /// Builds the table from `merges` of tokenizer.json: pairs, or strings "left right".
  init(
    _ merges: [JSONValue],
    _ vocabulary: Vocabulary,
    path: String
  ) throws(TokenizerError) {
    var slotCount = 16
    while slotCount < 2 * merges.count { slotCount *= 2 }
    var pairs = [UInt64](repeating: .max, count: slotCount)
    var ranks = [UInt32](repeating: Self.none, count: slotCount)
    var results: [UInt32] = []
    results.reserveCapacity(merges.count)
    seed = UInt64.random(in: .min ... .max) | 1
    for (rank, merge) in merges.enumerated() {
      let (left, right) = try Self.parts(merge, path: "\(path)[\(rank)]")
      func id(_ token: [UInt8]) throws(TokenizerError) -> UInt32 {
        guard let id = vocabulary.id(of: token) else {
          let text = String(decoding: token, as: UTF8.self).excerpt()
          throw TokenizerError(
            .invalidFile,
            "\(path)[\(rank)]: the token \"\(text)\" is not in the vocabulary"
          )
        }
        return id
      }
      let pair = UInt64(try id(left)) << 32 | UInt64(try id(right))
      results.append(try id(left + right))
      var slot = Self.slot(pair, seed, slotCount)
      while pairs[slot] != .max, pairs[slot] != pair { slot = (slot + 1) & (slotCount - 1) }
      // A pair that is there twice has its last rank, as in Hugging Face.
      pairs[slot] = pair
      ranks[slot] = UInt32(rank)
    }
    self.pairs = pairs
    self.ranks = ranks
    self.results = results
  }

  private static func parts(
    _ merge: JSONValue,
    path: String
  ) throws(TokenizerError) -> ([UInt8], [UInt8]) {
    switch merge {
    case .array(let parts):
      if parts.count == 2, case .string(let left) = parts[0], case .string(let right) = parts[1] {
        return (Array(left.utf8), Array(right.utf8))
      }
    case .string(let text):
      let parts = text.utf8.split(separator: 0x20, omittingEmptySubsequences: false)
      if parts.count == 2 { return (Array(parts[0]), Array(parts[1])) }
    default: break
    }
    throw TokenizerError(.invalidFile, "\(path) must be two tokens")
  }

  @inline(__always)
  private static func slot(_ pair: UInt64, _ seed: UInt64, _ slotCount: Int) -> Int {
    let mixed = (pair ^ pair >> 31) &* seed
    return Int(truncatingIfNeeded: (mixed ^ mixed >> 32) &* 0x9E37_79B9_7F4A_7C15 >> 32)
      & (slotCount - 1)
  }

  /// The rank of the merge of two tokens; `none` if they do not merge.
  @inline(__always)
  func rank(_ left: UInt32, _ right: UInt32) -> UInt32 {
    let pair = UInt64(left) << 32 | UInt64(right)
    var slot = Self.slot(pair, seed, pairs.count)
    while pairs[slot] != pair {
      if pairs[slot] == .max { return Self.none }
      slot = (slot + 1) & (pairs.count - 1)
    }
    return ranks[slot]
  }

  /// The token that the merge of `rank` makes.
  @inline(__always)
  func result(_ rank: UInt32) -> UInt32 { results[Int(rank)] }
}

/// A binary min-heap of possible merges: lowest rank first, of equals the leftmost.
struct MergeHeap {
  private var keys: [UInt64] = []

  mutating func removeAll() { keys.removeAll(keepingCapacity: true) }

  mutating func push(rank: UInt32, position: Int32) {
    keys.append(UInt64(rank) << 32 | UInt64(position))
    var child = keys.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard keys[child] < keys[parent] else { return }
      keys.swapAt(child, parent)
      child = parent
    }
  }

  mutating func pop() -> (rank: UInt32, position: Int32)? {
    guard let top = keys.first else { return nil }
    let last = keys.removeLast()
    if !keys.isEmpty {
      keys[0] = last
      var parent = 0
      while true {
        var child = 2 * parent + 1
        guard child < keys.count else { break }
        if child + 1 < keys.count, keys[child + 1] < keys[child] { child += 1 }
        guard keys[child] < keys[parent] else { break }
        keys.swapAt(child, parent)
        parent = child
      }
    }
    return (UInt32(top >> 32), Int32(truncatingIfNeeded: top))
  }
}
