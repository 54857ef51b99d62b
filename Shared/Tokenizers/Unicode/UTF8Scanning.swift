/// Reading scalars from bytes that are known to be UTF-8 (they come from a `String`).
extension [UInt8] {
  /// The scalar that starts at `index` and its length in bytes.
  @inline(__always)
  func scalar(at index: Int) -> (value: UInt32, length: Int) {
    let first = UInt32(self[index])
    if first < 0x80 { return (first, 1) }
    let second = UInt32(self[index + 1] & 0x3F)
    if first < 0xE0 { return ((first & 0x1F) << 6 | second, 2) }
    let third = UInt32(self[index + 2] & 0x3F)
    if first < 0xF0 { return ((first & 0x0F) << 12 | second << 6 | third, 3) }
    let fourth = UInt32(self[index + 3] & 0x3F)
    return ((first & 0x07) << 18 | second << 12 | third << 6 | fourth, 4)
  }

  /// Appends a scalar in UTF-8.
  mutating func append(scalar: UInt32) {
    switch scalar {
    case 0..<0x80: append(UInt8(scalar))
    case 0x80..<0x800:
      append(UInt8(0xC0 | scalar >> 6))
      append(UInt8(0x80 | scalar & 0x3F))
    case 0x800..<0x10000:
      append(UInt8(0xE0 | scalar >> 12))
      append(UInt8(0x80 | scalar >> 6 & 0x3F))
      append(UInt8(0x80 | scalar & 0x3F))
    default:
      append(UInt8(0xF0 | scalar >> 18))
      append(UInt8(0x80 | scalar >> 12 & 0x3F))
      append(UInt8(0x80 | scalar >> 6 & 0x3F))
      append(UInt8(0x80 | scalar & 0x3F))
    }
  }
}

extension String {
  /// A string of scalars, in linear time, which appending to a `UnicodeScalarView` does not keep.
  init(scalars: some Sequence<Unicode.Scalar>) {
    var utf8: [UInt8] = []
    for scalar in scalars { utf8.append(scalar: scalar.value) }
    self = String(decoding: utf8, as: UTF8.self)
  }
}

/// Counts scalars up to a byte position; cheap while positions grow.
struct ScalarCursor {
  private let bytes: [UInt8]
  /// Bytes counted so far, and the scalars that start among them.
  private var position = 0
  private var started = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// Scalars that start before byte `index`.
  mutating func scalars(before index: Int) -> Int {
    while position < index {
      if bytes[position] & 0xC0 != 0x80 { started += 1 }
      position += 1
    }
    while position > index {
      position -= 1
      if bytes[position] & 0xC0 != 0x80 { started -= 1 }
    }
    return started
  }
}
