/// The loop of BPE training: merges the most frequent pair of neighbours, again and again.
///
/// Follows `BpeTrainer::do_train` and `Word::merge` of Hugging Face tokenizers (models/bpe) in
/// everything that shows in the result: of pairs that are equally frequent the one of lower ids
/// goes first; a pair's count is checked when it comes up and corrected then; a token that two
/// merges make exists once, and pairs with it may come up again.
struct BPEMerging {
  typealias Pair = UInt64

  private let options: BPETrainingOptions
  /// The tokens by id, as the vocabulary writes them, in UTF-8.
  private(set) var tokens: [[UInt8]] = []
  private var ids: [[UInt8]: UInt32] = [:]
  /// The bytes each token stands for.
  private var lengths: [Int] = []
  private var merges: [Pair] = []

  /// The symbols of all words; each word's at its start, closed up.
  private var symbols: [UInt32] = []
  private var starts: [Int] = []
  private var symbolCounts: [Int32] = []
  private let wordCounts: [Int]

  private var pairCounts: [Pair: Int] = [:]
  private var queue = MergeQueue()

  init(_ words: WordCounts, _ options: BPETrainingOptions) {
    self.options = options
    wordCounts = words.counts
    for token in options.specialTokens { addToken(Array(token.utf8), length: token.utf8.count) }
    // The alphabet in the order of its characters, not of its bytes.
    for scalar in ByteAlphabet.scalars.sorted() {
      var token: [UInt8] = []
      token.append(scalar: scalar)
      addToken(token, length: 1)
    }
    let byteIDs = ByteAlphabet.scalars.map { scalar in
      var token: [UInt8] = []
      token.append(scalar: scalar)
      return ids[token] ?? 0
    }
    for number in 0..<words.count {
      let word = words.word(number)
      starts.append(symbols.count)
      symbolCounts.append(Int32(word.count))
      for byte in word { symbols.append(byteIDs[Int(byte)]) }
    }
    countPairs()
  }

  /// The id of a token, a new one if need be.
  @discardableResult
  private mutating func addToken(_ token: [UInt8], length: Int) -> UInt32 {
    if let id = ids[token] { return id }
    let id = UInt32(tokens.count)
    ids[token] = id
    tokens.append(token)
    lengths.append(length)
    return id
  }

  private static func pair(_ left: UInt32, _ right: UInt32) -> Pair {
    UInt64(left) << 32 | UInt64(right)
  }

  private mutating func countPairs() {
    var places: [Pair: [UInt32]] = [:]
    for (word, start) in starts.enumerated() {
      let end = start + Int(symbolCounts[word])
      for index in start..<max(start, end - 1) {
        let pair = Self.pair(symbols[index], symbols[index + 1])
        pairCounts[pair, default: 0] += wordCounts[word]
        Self.note(UInt32(word), of: pair, in: &places)
      }
    }
    enqueue(places)
  }

  /// Words come in rising order, so a word that is there already is the last one.
  private static func note(_ word: UInt32, of pair: Pair, in places: inout [Pair: [UInt32]]) {
    let isThere = places[pair]?.last == word
    if !isThere { places[pair, default: []].append(word) }
  }

  private mutating func enqueue(_ places: [Pair: [UInt32]]) {
    // In a fixed order: a dictionary's is another in every process.
    for pair in places.keys.sorted() {
      guard let words = places[pair], let count = pairCounts[pair], count > 0 else { continue }
      queue.push(pair: pair, count: UInt64(count), words: words)
    }
  }

  mutating func run(progress: (_ tokens: Int) -> Void) {
    while tokens.count < options.vocabularySize, let top = queue.pop() {
      let count = UInt64(bitPattern: Int64(pairCounts[top.pair] ?? 0))
      guard top.count == count else {
        queue.push(pair: top.pair, count: count, words: top.words)
        continue
      }
      if count < 1 || count < UInt64(options.minFrequency) { break }
      merge(top.pair, in: top.words)
      progress(tokens.count)
    }
  }

  private mutating func merge(_ pair: Pair, in words: [UInt32]) {
    let left = UInt32(truncatingIfNeeded: pair >> 32)
    let right = UInt32(truncatingIfNeeded: pair)
    let result = addToken(
      tokens[Int(left)] + tokens[Int(right)],
      length: lengths[Int(left)] + lengths[Int(right)]
    )
    merges.append(pair)
    var places: [Pair: [UInt32]] = [:]
    for word in words { merge(left, right, to: result, in: word, &places) }
    enqueue(places)
  }

  /// Merges the pair in one word, from left to right.
  private mutating func merge(
    _ left: UInt32,
    _ right: UInt32,
    to result: UInt32,
    in word: UInt32,
    _ places: inout [Pair: [UInt32]]
  ) {
    let start = starts[Int(word)]
    let end = start + Int(symbolCounts[Int(word)])
    let occurrences = wordCounts[Int(word)]
    var read = start
    // Never ahead of `read`: symbols before it are final.
    var write = start
    while read < end {
      guard symbols[read] == left, read + 1 < end, symbols[read + 1] == right else {
        symbols[write] = symbols[read]
        (read, write) = (read + 1, write + 1)
        continue
      }
      if write > start {
        let before = symbols[write - 1]
        pairCounts[Self.pair(before, left), default: 0] -= occurrences
        count(before, result, occurrences, word, &places)
      }
      if read + 2 < end {
        let after = symbols[read + 2]
        pairCounts[Self.pair(right, after), default: 0] -= occurrences
        count(result, after, occurrences, word, &places)
      }
      symbols[write] = result
      (read, write) = (read + 2, write + 1)
    }
    symbolCounts[Int(word)] = Int32(write - start)
  }

  /// Counts a pair that a merge has formed, unless its own merge would be too long.
  private mutating func count(
    _ left: UInt32,
    _ right: UInt32,
    _ occurrences: Int,
    _ word: UInt32,
    _ places: inout [Pair: [UInt32]]
  ) {
    guard lengths[Int(left)] + lengths[Int(right)] < options.tokenLengthMax else { return }
    let pair = Self.pair(left, right)
    pairCounts[pair, default: 0] += occurrences
    Self.note(word, of: pair, in: &places)
  }

  /// The merges by rank; a pair that was merged twice has its last rank, as in Hugging Face.
  var mergesInOrder: [(left: UInt32, right: UInt32)] {
    var last: [Pair: Int] = [:]
    for (rank, pair) in merges.enumerated() { last[pair] = rank }
    return merges.enumerated().filter { last[$0.element] == $0.offset }.map {
      (UInt32(truncatingIfNeeded: $0.element >> 32), UInt32(truncatingIfNeeded: $0.element))
    }
  }
}

/// Pairs that may be merged: the most frequent first, of equals the one of lower ids.
private struct MergeQueue {
  struct Entry {
    var pair: UInt64
    var count: UInt64
    /// Words that held the pair when the entry was made.
    var words: [UInt32]
  }

  /// A binary heap.
  private var entries: [Entry] = []

  private static func precedes(_ a: Entry, _ b: Entry) -> Bool {
    a.count != b.count ? a.count > b.count : a.pair < b.pair
  }

  mutating func push(pair: UInt64, count: UInt64, words: [UInt32]) {
    entries.append(Entry(pair: pair, count: count, words: words))
    var child = entries.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard Self.precedes(entries[child], entries[parent]) else { return }
      entries.swapAt(child, parent)
      child = parent
    }
  }

  mutating func pop() -> Entry? {
    guard let top = entries.first else { return nil }
    let last = entries.removeLast()
    if !entries.isEmpty {
      entries[0] = last
      var parent = 0
      while true {
        var child = 2 * parent + 1
        guard child < entries.count else { break }
        if child + 1 < entries.count, Self.precedes(entries[child + 1], entries[child]) {
          child += 1
        }
        guard Self.precedes(entries[child], entries[parent]) else { break }
        entries.swapAt(child, parent)
        parent = child
      }
    }
    return top
  }
}
