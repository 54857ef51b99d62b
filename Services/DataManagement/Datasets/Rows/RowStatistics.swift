/// How long the rows are: a histogram of bounded size.
package struct LengthHistogram: Sendable, Equatable {
  /// Lengths below are counted each by itself.
  static let exactMax = 1_024
  /// Bins for each doubling above.
  static let binsPerOctave = 8

  /// Rows by bin.
  private(set) var counts: [Int: UInt64] = [:]
  /// The shortest row; 0 if there is none.
  package private(set) var min = 0
  /// The longest row.
  package private(set) var max = 0
  /// All lengths together.
  package private(set) var sum: UInt64 = 0
  /// Rows counted.
  package private(set) var count: UInt64 = 0

  /// An empty one.
  package init() {}

  /// Counts a row.
  mutating func add(_ length: Int) {
    min = count == 0 ? length : Swift.min(min, length)
    max = Swift.max(max, length)
    sum += UInt64(length)
    count += 1
    counts[Self.bin(of: length), default: 0] += 1
  }

  /// Counts the rows of another one.
  mutating func add(_ other: LengthHistogram) {
    guard other.count > 0 else { return }
    min = count == 0 ? other.min : Swift.min(min, other.min)
    max = Swift.max(max, other.max)
    sum += other.sum
    count += other.count
    counts.merge(other.counts) { $0 + $1 }
  }

  /// The mean; 0 if there is no row.
  package var mean: Double { count == 0 ? 0 : Double(sum) / Double(count) }

  /// The length that a share of the rows does not exceed: exact below 1,024, rounded up above.
  package func percentile(_ share: Double) -> Int {
    let wanted = UInt64((share * Double(count)).rounded(.up))
    var seen: UInt64 = 0
    for (bin, rows) in counts.sorted(by: { $0.key < $1.key }) {
      seen += rows
      if seen >= wanted { return Swift.min(Self.upperBound(of: bin), max) }
    }
    return max
  }

  private static func bin(of length: Int) -> Int {
    guard length >= exactMax else { return length }
    let octave = Int.bitWidth - 1 - length.leadingZeroBitCount
    let step = (length >> (octave - 3)) & (binsPerOctave - 1)
    return exactMax + (octave - 10) * binsPerOctave + step
  }

  private static func upperBound(of bin: Int) -> Int {
    guard bin >= exactMax else { return bin }
    let (octave, step) = (bin - exactMax).quotientAndRemainder(dividingBy: binsPerOctave)
    return ((binsPerOctave + step + 1) << (octave + 10 - 3)) - 1
  }

  /// The histogram as text, for the database.
  var encoded: String {
    let bins = counts.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value)" }
    return (["\(min)", "\(max)", "\(sum)"] + bins).joined(separator: " ")
  }

  /// The histogram of `encoded`; nil if the text is none.
  init?(encoded: String) {
    let parts = encoded.split(separator: " ")
    guard parts.count >= 3, let min = Int(parts[0]), let max = Int(parts[1]),
      let sum = UInt64(parts[2])
    else { return nil }
    (self.min, self.max, self.sum) = (min, max, sum)
    for part in parts[3...] {
      let pair = part.split(separator: ":")
      guard pair.count == 2, let bin = Int(pair[0]), let rows = UInt64(pair[1]) else { return nil }
      counts[bin] = rows
      count += rows
    }
  }
}

/// What is counted of the rows of a split, or of a whole version.
package struct RowStatistics: Sendable, Equatable {
  /// Rows.
  package internal(set) var rows: UInt64 = 0
  /// Tokens, or words of the texts.
  package internal(set) var tokens: UInt64 = 0
  /// Bytes of the rows as stored, line feeds included.
  package internal(set) var bytes: UInt64 = 0
  /// Tags and their tokens (token classification), or labels and their rows (sequence classification).
  package internal(set) var labels: [String: UInt64] = [:]
  /// Chunk types and their chunks; token classification only.
  package internal(set) var entities: [String: UInt64] = [:]
  /// Lengths in tokens or words.
  package internal(set) var lengths = LengthHistogram()

  /// Nothing counted.
  package init() {}

  /// Counts a row whose tags are IOB2, or plain.
  ///
  /// - Parameters:
  ///   - row: the row.
  ///   - storedBytes: its size as stored, without the line feed.
  ///   - isPlain: whether tags are no chunks.
  mutating func add(_ row: DatasetRow, storedBytes: Int, isPlain: Bool) {
    let count = row.tokenCount
    rows += 1
    tokens += UInt64(count)
    bytes += UInt64(storedBytes) + 1
    lengths.add(count)
    switch row {
    case .tokens(_, let tags):
      for tag in tags {
        labels[tag, default: 0] += 1
        if !isPlain, tag.hasPrefix("B-") { entities[String(tag.dropFirst(2)), default: 0] += 1 }
      }
    case .labelled(_, let label): labels[label, default: 0] += 1
    case .chat, .text: break
    }
  }

  /// Counts what another one counted.
  mutating func add(_ other: RowStatistics) {
    rows += other.rows
    tokens += other.tokens
    bytes += other.bytes
    labels.merge(other.labels) { $0 + $1 }
    entities.merge(other.entities) { $0 + $1 }
    lengths.add(other.lengths)
  }
}
