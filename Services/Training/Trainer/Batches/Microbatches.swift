extension ExampleSet {
  /// The sequences `group` in parts of at most `tokensMax` tokens, or one longer sequence.
  func parts(_ group: ArraySlice<Int>, tokensMax: Int) -> [ArraySlice<Int>] {
    var parts: [ArraySlice<Int>] = []
    var start = group.startIndex
    var tokens = 0
    for place in group.indices {
      let length = length(group[place])
      if place > start, tokens + length > tokensMax {
        parts.append(group[start..<place])
        start = place
        tokens = 0
      }
      tokens += length
    }
    if start < group.endIndex { parts.append(group[start...]) }
    return parts
  }

  /// Rows of the sequences that have a label.
  func labelledCount(_ group: ArraySlice<Int>) -> Int {
    group.reduce(0) { count, index in
      count + labels[range(index)].reduce(0) { $0 + ($1 == Self.ignored ? 0 : 1) }
    }
  }

  /// The most tokens of a part when batches of `size` sequences are cut at `tokensMax`: a bound for
  /// any order.
  static func partTokensMax(lengths: [Int], size: Int, tokensMax: Int) -> Int {
    let longest = lengths.max() ?? 0
    let most = lengths.sorted(by: >).prefix(size).reduce(0, +)
    return max(longest, min(most, tokensMax))
  }
}
