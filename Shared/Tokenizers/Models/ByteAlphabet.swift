/// GPT-2's way to write any byte as a printable character, so that a vocabulary is text.
///
/// Source: `bytes_to_unicode` in openai/gpt-2, encoder.py.
enum ByteAlphabet {
  /// The scalar that stands for each byte.
  static let scalars: [UInt32] = {
    var next: UInt32 = 0x100
    return (0...255 as ClosedRange<UInt32>).map { byte in
      switch byte {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: return byte
      default:
        defer { next += 1 }
        return next
      }
    }
  }()

  /// The byte that each scalar stands for, -1 for none; beyond the end are none.
  private static let bytes: [Int16] = {
    var table = [Int16](repeating: -1, count: 0x100 + 68)
    for (byte, scalar) in scalars.enumerated() { table[Int(scalar)] = Int16(byte) }
    return table
  }()

  /// The bytes a token stands for: itself in UTF-8, if one of its characters stands for none.
  static func bytes(of token: String) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(token.utf8.count)
    for scalar in token.unicodeScalars {
      guard scalar.value < bytes.count, bytes[Int(scalar.value)] >= 0 else {
        return Array(token.utf8)
      }
      result.append(UInt8(bytes[Int(scalar.value)]))
    }
    return result
  }
}
