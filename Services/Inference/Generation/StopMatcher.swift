/// Finds the first stop text in a text that comes in pieces, and passes on what is before it.
///
/// The match is the one that is complete first; of those complete at the same place, the longest. It
/// does not depend on how the text is cut into pieces. Text that may be the beginning of a stop text
/// is held back until it is known not to be. O(stop texts) per byte, amortized (Knuth, Morris, Pratt).
struct StopMatcher: Sendable {
  /// One stop text, and how much of it the text so far ends with.
  private struct Pattern: Sendable {
    let bytes: [UInt8]
    /// `fallback[n]`: the longest proper prefix of the first n bytes that also ends them.
    let fallback: [Int]
    var matched = 0

    init(_ text: String) {
      bytes = Array(text.utf8)
      var fallback = [0, 0]
      var length = 0
      for index in bytes.indices.dropFirst() {
        while length > 0, bytes[index] != bytes[length] { length = fallback[length] }
        if bytes[index] == bytes[length] { length += 1 }
        fallback.append(length)
      }
      self.fallback = fallback
    }

    /// Takes a byte; returns whether it completes the pattern.
    mutating func advance(_ byte: UInt8) -> Bool {
      while matched > 0, bytes[matched] != byte { matched = fallback[matched] }
      if bytes[matched] == byte { matched += 1 }
      return matched == bytes.count
    }
  }

  /// Whether a stop text was found; the text after it is ignored.
  private(set) var isMatched = false
  private var patterns: [Pattern]
  /// Text held back; between calls shorter than the longest stop text.
  private var held: [UInt8] = []

  /// Creates a matcher of texts that are not empty; none is allowed.
  init(_ stop: [String]) {
    precondition(stop.allSatisfy { !$0.isEmpty }, "a stop text must not be empty")
    patterns = stop.map { Pattern($0) }
  }

  /// Takes a piece of whole characters; returns the text that is certainly before any stop text.
  mutating func append(_ text: String) -> String {
    guard !isMatched else { return "" }
    guard !patterns.isEmpty else { return text }
    for byte in text.utf8 {
      held.append(byte)
      var longest = 0
      for index in patterns.indices where patterns[index].advance(byte) {
        longest = max(longest, patterns[index].bytes.count)
      }
      if longest > 0 {
        isMatched = true
        held.removeLast(longest)
        return release(held.count)
      }
    }
    let partial = patterns.reduce(0) { max($0, $1.matched) }
    return release(held.count - partial)
  }

  /// Ends the text; returns what was held back, which was no stop text after all.
  mutating func finish() -> String {
    isMatched ? "" : release(held.count)
  }

  /// UTF-8 cannot be cut here: a stop text begins, and so ends what is before it, with a character.
  private mutating func release(_ count: Int) -> String {
    guard count > 0 else { return "" }
    defer { held.removeFirst(count) }
    return String(decoding: held[..<count], as: UTF8.self)
  }
}
