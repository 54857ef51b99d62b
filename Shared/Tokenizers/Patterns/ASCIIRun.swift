/// A range of ASCII characters whose runs are found eight bytes at a time.
///
/// A word is mostly shorter than that, so that its end costs no mispredicted branch.
struct ASCIIRun {
  /// Added to the low seven bits of a byte, bit 7 says whether it is at least the first character.
  private let first: UInt64
  /// The same for those behind the last.
  private let behind: UInt64
  /// Bits set before comparing.
  private let folded: UInt64

  static let letters = ASCIIRun("a", "z", folded: 0x20)
  private static let lower = ASCIIRun("a", "z")

  private static let each: UInt64 = 0x0101_0101_0101_0101
  private static let highBits: UInt64 = 0x8080_8080_8080_8080

  @inline(__always)
  private init(_ first: Unicode.Scalar, _ last: Unicode.Scalar, folded: UInt64 = 0) {
    self.first = (0x80 - UInt64(first.value)) &* 0x0101_0101_0101_0101
    behind = (0x7F - UInt64(last.value)) &* 0x0101_0101_0101_0101
    self.folded = folded &* 0x0101_0101_0101_0101
  }

  /// Where the run that goes on at `start` ends.
  @inline(__always)
  func end(_ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
    var index = start
    while index &+ 8 <= end {
      let word = Self.word(text, index)
      let outside = members(word) ^ Self.highBits
      if outside != 0 { return index &+ outside.trailingZeroBitCount &>> 3 }
      index &+= 8
    }
    while index < end, members(UInt64(text[index])) & 0x80 != 0 { index &+= 1 }
    return index
  }

  /// Where the run of letters that goes on at `start` ends, at the latest before a capital behind
  /// a small letter.
  @inline(__always)
  static func casedEnd(
    _ text: UnsafePointer<UInt8>,
    _ start: Int,
    _ end: Int,
    isBehindLower: Bool
  ) -> Int {
    var index = start
    // Bit 7: whether the letter before is a small one.
    var behind: UInt64 = isBehindLower ? 0x80 : 0
    while index &+ 8 <= end {
      let word = Self.word(text, index)
      let letters = letters.members(word)
      let lower = lower.members(word)
      let breaks = (letters ^ highBits) | (letters & ~lower & (lower &<< 8 | behind))
      if breaks != 0 { return index &+ breaks.trailingZeroBitCount &>> 3 }
      behind = lower &>> 56
      index &+= 8
    }
    while index < end {
      let byte = UInt64(text[index])
      let lower = lower.members(byte) & 0x80
      guard letters.members(byte) & 0x80 != 0, lower != 0 || behind == 0 else { break }
      behind = lower
      index &+= 1
    }
    return index
  }

  /// Bit 7 of each byte of the result says whether the byte of `word` is a member.
  @inline(__always)
  private func members(_ word: UInt64) -> UInt64 {
    let low = (word | folded) & ~Self.highBits
    return (low &+ first) & ~(low &+ behind) & ~word & Self.highBits
  }

  /// Where a run of spaces that goes on at `start` ends.
  @inline(__always)
  static func spacesEnd(_ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
    var index = start
    while index &+ 8 <= end {
      let others = word(text, index) ^ (each &* 0x20)
      if others != 0 { return index &+ others.trailingZeroBitCount &>> 3 }
      index &+= 8
    }
    while index < end, text[index] == 0x20 { index &+= 1 }
    return index
  }

  /// The eight bytes at `index`, the first in the lowest bits.
  @inline(__always)
  private static func word(_ text: UnsafePointer<UInt8>, _ index: Int) -> UInt64 {
    UnsafeRawPointer(text + index).loadUnaligned(as: UInt64.self).littleEndian
  }
}
