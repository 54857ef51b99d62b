/// Builds JSON text by hand: answers are small and of known shape, and one token of a stream must
/// not cost a trip through `Codable`.
struct JSONText: Sendable {
  private(set) var bytes: [UInt8] = []

  init(capacity: Int = 256) { bytes.reserveCapacity(capacity) }

  /// Appends text that is JSON already.
  mutating func raw(_ json: StaticString) {
    json.withUTF8Buffer { bytes.append(contentsOf: $0) }
  }

  /// Appends JSON made elsewhere.
  mutating func raw(_ json: [UInt8]) { bytes += json }

  /// Appends a number.
  mutating func number(_ value: some FixedWidthInteger) { bytes += String(value).utf8 }

  /// Appends a number; `null` for one that JSON cannot say.
  mutating func number(_ value: Double) {
    bytes += (value.isFinite ? value.description : "null").utf8
  }

  /// Appends a string in quotes, or `null`.
  mutating func string(_ text: String?) {
    guard let text else {
      raw("null")
      return
    }
    bytes.append(UInt8(ascii: "\""))
    Self.escape(text, into: &bytes)
    bytes.append(UInt8(ascii: "\""))
  }

  /// Appends `text` as the inside of a JSON string: quote, backslash and controls escaped, the rest
  /// as UTF-8.
  ///
  /// U+2028 and U+2029 are escaped as well, so that the text is JavaScript too, and no line feed
  /// ever remains: a value is one line of an event stream.
  static func escape(_ text: String, into bytes: inout [UInt8]) {
    var text = text
    text.withUTF8 { utf8 in
      var run = 0
      var index = 0
      while index < utf8.count {
        let byte = utf8[index]
        // U+2028 is E2 80 A8, U+2029 is E2 80 A9.
        let isSeparator =
          byte == 0xe2 && index + 2 < utf8.count && utf8[index + 1] == 0x80
          && utf8[index + 2] & 0xfe == 0xa8
        guard byte < 0x20 || byte == 0x22 || byte == 0x5c || byte == 0x7f || isSeparator else {
          index += 1
          continue
        }
        bytes.append(contentsOf: utf8[run..<index])
        if isSeparator {
          bytes += utf8[index + 2] == 0xa8 ? "\\u2028".utf8 : "\\u2029".utf8
          index += 3
        } else {
          escape(byte, into: &bytes)
          index += 1
        }
        run = index
      }
      bytes.append(contentsOf: utf8[run...])
    }
  }

  private static func escape(_ byte: UInt8, into bytes: inout [UInt8]) {
    bytes.append(UInt8(ascii: "\\"))
    switch byte {
    case 0x22, 0x5c: bytes.append(byte)
    case 0x08: bytes.append(UInt8(ascii: "b"))
    case 0x09: bytes.append(UInt8(ascii: "t"))
    case 0x0a: bytes.append(UInt8(ascii: "n"))
    case 0x0c: bytes.append(UInt8(ascii: "f"))
    case 0x0d: bytes.append(UInt8(ascii: "r"))
    default:
      bytes += "u00".utf8
      let digits = Array("0123456789abcdef".utf8)
      bytes.append(digits[Int(byte >> 4)])
      bytes.append(digits[Int(byte & 15)])
    }
  }
}
