/// Turns bytes that arrive in pieces into UTF-8: characters come out when they are whole, and each
/// maximal part of a broken one becomes U+FFFD (The Unicode Standard, section 3.9, as
/// `from_utf8_lossy` in Rust and `errors="replace"` in Python).
struct UTF8Repair: Sendable {
  /// The beginning of a character that may still be completed; at most 3 bytes.
  private var pending: [UInt8] = []
  private var missing = 0
  /// What the next byte must be in.
  private var allowed: ClosedRange<UInt8> = 0x80...0xBF

  /// Appends what `bytes` complete to `output`.
  mutating func append(_ bytes: some Sequence<UInt8>, into output: inout [UInt8]) {
    for byte in bytes {
      if missing > 0 {
        if allowed.contains(byte) {
          pending.append(byte)
          missing -= 1
          allowed = 0x80...0xBF
          if missing == 0 {
            output += pending
            pending.removeAll(keepingCapacity: true)
          }
          continue
        }
        finish(into: &output)
      }
      begin(byte, into: &output)
    }
  }

  private mutating func begin(_ byte: UInt8, into output: inout [UInt8]) {
    switch byte {
    case 0..<0x80:
      output.append(byte)
      return
    case 0xC2...0xDF: (missing, allowed) = (1, 0x80...0xBF)
    case 0xE0: (missing, allowed) = (2, 0xA0...0xBF)
    case 0xED: (missing, allowed) = (2, 0x80...0x9F)
    case 0xE1...0xEF: (missing, allowed) = (2, 0x80...0xBF)
    case 0xF0: (missing, allowed) = (3, 0x90...0xBF)
    case 0xF1...0xF3: (missing, allowed) = (3, 0x80...0xBF)
    case 0xF4: (missing, allowed) = (3, 0x80...0x8F)
    default:
      output.append(scalar: 0xFFFD)
      return
    }
    pending.append(byte)
  }

  /// Appends U+FFFD for a character that was not completed.
  mutating func finish(into output: inout [UInt8]) {
    guard missing > 0 else { return }
    output.append(scalar: 0xFFFD)
    pending.removeAll(keepingCapacity: true)
    missing = 0
  }
}
