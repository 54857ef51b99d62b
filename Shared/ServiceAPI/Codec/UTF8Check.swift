/// Strict UTF-8 (Unicode 15, table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF),
/// and no NUL, which would end a C string early.
enum UTF8Check {
  enum Result { case valid, holdsNUL, invalid }

  static func check(_ bytes: UnsafeRawBufferPointer) -> Result {
    var position = 0
    while position < bytes.count {
      if bytes.count - position >= 8 {
        let word = bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)
        if isPlain(word) {
          position += 8
          continue
        }
      }
      let length = sequenceLength(bytes, position)
      guard length > 0 else { return bytes[position] == 0 ? .holdsNUL : .invalid }
      position += length
    }
    return .valid
  }

  /// Whether all 8 bytes are ASCII and none is NUL.
  private static func isPlain(_ word: UInt64) -> Bool {
    let high: UInt64 = 0x8080_8080_8080_8080
    let low: UInt64 = 0x0101_0101_0101_0101
    return (word | (word &- low)) & high == 0
  }

  /// The length of the character that starts at `start`; 0 if there is none or it is NUL.
  private static func sequenceLength(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Int {
    let lead = bytes[start]
    let left = bytes.count - start
    switch lead {
    case 0x01...0x7f: return 1
    case 0xc2...0xdf: return left >= 2 && isTail(bytes[start + 1]) ? 2 : 0
    case 0xe0...0xef:
      guard left >= 3, isTail(bytes[start + 2]) else { return 0 }
      let second: ClosedRange<UInt8> =
        lead == 0xe0 ? 0xa0...0xbf : lead == 0xed ? 0x80...0x9f : 0x80...0xbf
      return second.contains(bytes[start + 1]) ? 3 : 0
    case 0xf0...0xf4:
      guard left >= 4, isTail(bytes[start + 2]), isTail(bytes[start + 3]) else { return 0 }
      let second: ClosedRange<UInt8> =
        lead == 0xf0 ? 0x90...0xbf : lead == 0xf4 ? 0x80...0x8f : 0x80...0xbf
      return second.contains(bytes[start + 1]) ? 4 : 0
    default: return 0
    }
  }

  private static func isTail(_ byte: UInt8) -> Bool { byte & 0xc0 == 0x80 }
}
