/// Counts byte strings: open addressing over strings that are kept one after another.
struct WordCounts: Sendable {
  private var bytes: [UInt8] = []
  /// Where each word ends in `bytes`.
  private var ends: [Int] = []
  private(set) var counts: [Int] = []
  /// A word's number + 1, 0 where free.
  private var slots: [UInt32] = Array(repeating: 0, count: 1 << 10)
  /// Words that occurred no more often are forgotten next; rises with every time.
  private var rareCount = 0

  /// How many different words there are.
  var count: Int { ends.count }

  /// What the words take, tables included.
  var byteCount: Int { bytes.count + 16 * ends.count + 4 * slots.count }

  /// The bytes of a word.
  func word(_ number: Int) -> ArraySlice<UInt8> {
    bytes[(number == 0 ? 0 : ends[number - 1])..<ends[number]]
  }

  /// Counts `source[range]` once.
  mutating func add(_ source: [UInt8], _ range: Range<Int>) { add(source[range], 1) }

  private mutating func add(_ word: ArraySlice<UInt8>, _ occurrences: Int) {
    var slot = Self.hash(word) & (slots.count - 1)
    while slots[slot] != 0 {
      let number = Int(slots[slot]) - 1
      if self.word(number) == word {
        counts[number] += occurrences
        return
      }
      slot = (slot + 1) & (slots.count - 1)
    }
    bytes.append(contentsOf: word)
    ends.append(bytes.count)
    counts.append(occurrences)
    slots[slot] = UInt32(count)
    if 2 * count > slots.count { grow() }
  }

  private mutating func grow() {
    slots = Array(repeating: 0, count: 2 * slots.count)
    for number in ends.indices {
      var slot = Self.hash(word(number)) & (slots.count - 1)
      while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
      slots[slot] = UInt32(number + 1)
    }
  }

  /// Forgets at least half of what the words take, the rarest first; returns how often the
  /// forgotten ones occurred.
  mutating func forgetRarest() -> Int {
    let target = byteCount / 2
    var forgotten = 0
    while byteCount > target, count > 0 {
      rareCount += 1
      // Steps over counts that no word has.
      rareCount = max(rareCount, counts.min() ?? 0)
      var kept = WordCounts()
      kept.rareCount = rareCount
      for number in ends.indices {
        if counts[number] > rareCount {
          kept.add(word(number), counts[number])
        } else {
          forgotten += counts[number]
        }
      }
      self = kept
    }
    return forgotten
  }

  /// Swift's hasher is seeded by the process: no text can be made of colliding words.
  private static func hash(_ word: ArraySlice<UInt8>) -> Int {
    var hasher = Hasher()
    word.withUnsafeBytes { hasher.combine(bytes: $0) }
    return hasher.finalize()
  }
}
