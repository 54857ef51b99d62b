/// Reads one JSON text (RFC 8259) of bounded depth.
///
/// Written by hand because `tokenizer.json` must keep the order of its keys, because its size is
/// the start-up time of every service, and because it comes from outside: nesting is bounded,
/// strings must be UTF-8 without lone surrogates, nothing may follow the value.
struct JSONReader {
  private let bytes: [UInt8]
  private var position = 0
  private let name: String

  /// Parses `bytes`; `name` stands for the file in messages.
  static func parse(_ bytes: [UInt8], name: String) throws(TokenizerError) -> JSONValue {
    guard bytes.count <= TokenizerLimits.fileBytesMax else {
      throw TokenizerError(
        .limitExceeded,
        "\(name) has \(bytes.count) bytes, the limit is \(TokenizerLimits.fileBytesMax)"
      )
    }
    var reader = JSONReader(bytes: bytes, name: name)
    reader.skipSpace()
    let value = try reader.value(depth: 0)
    reader.skipSpace()
    guard reader.position == bytes.count else { throw reader.failure("text after the value") }
    return value
  }

  private init(bytes: [UInt8], name: String) {
    self.bytes = bytes
    self.name = name
  }

  private func failure(_ what: String) -> TokenizerError {
    TokenizerError(.invalidFile, "\(name) is not valid JSON at byte \(position): \(what)")
  }

  private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func skipSpace() {
    while position < bytes.count {
      switch bytes[position] {
      case 0x20, 0x0A, 0x0D, 0x09: position += 1
      default: return
      }
    }
  }

  private mutating func value(depth: Int) throws(TokenizerError) -> JSONValue {
    switch current {
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "{"): return try object(depth: depth + 1)
    case UInt8(ascii: "["): return try array(depth: depth + 1)
    case UInt8(ascii: "t"): return try keyword("true", .bool(true))
    case UInt8(ascii: "f"): return try keyword("false", .bool(false))
    case UInt8(ascii: "n"): return try keyword("null", .null)
    case UInt8(ascii: "-"): return try number()
    case nil: throw failure("it ends early")
    case let byte? where (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte):
      return try number()
    default: throw failure("a value was expected")
    }
  }

  private mutating func keyword(
    _ word: StaticString,
    _ value: JSONValue
  ) throws(TokenizerError) -> JSONValue {
    let length = word.utf8CodeUnitCount
    guard position + length <= bytes.count,
      bytes[position..<position + length].elementsEqual(word.description.utf8)
    else { throw failure("a value was expected") }
    position += length
    return value
  }

  private mutating func enter(_ depth: Int) throws(TokenizerError) {
    guard depth <= TokenizerLimits.jsonDepthMax else {
      throw failure("nested deeper than \(TokenizerLimits.jsonDepthMax)")
    }
    position += 1
    skipSpace()
  }

  /// Steps over `,` (true) or over `close` (false).
  private mutating func more(_ close: UInt8) throws(TokenizerError) -> Bool {
    skipSpace()
    guard let byte = current else { throw failure("it ends early") }
    guard byte == UInt8(ascii: ",") || byte == close else {
      throw failure("',' or '\(Character(Unicode.Scalar(close)))' was expected")
    }
    position += 1
    guard byte != close else { return false }
    skipSpace()
    return true
  }

  private mutating func array(depth: Int) throws(TokenizerError) -> JSONValue {
    try enter(depth)
    var elements: [JSONValue] = []
    if current == UInt8(ascii: "]") {
      position += 1
      return .array(elements)
    }
    repeat {
      elements.append(try value(depth: depth))
    } while try more(UInt8(ascii: "]"))
    return .array(elements)
  }

  private mutating func object(depth: Int) throws(TokenizerError) -> JSONValue {
    try enter(depth)
    var object = JSONObject()
    if current == UInt8(ascii: "}") {
      position += 1
      return .object(object)
    }
    repeat {
      guard current == UInt8(ascii: "\"") else { throw failure("a key was expected") }
      let key = try string()
      // Large objects are vocabularies; building those finds a token that is there twice.
      if object.members.count < Self.checkedMembersMax,
        object.members.contains(where: { $0.key == key })
      {
        throw failure("the key \"\(key)\" is there twice")
      }
      skipSpace()
      guard current == UInt8(ascii: ":") else { throw failure("':' was expected") }
      position += 1
      skipSpace()
      object.members.append((key, try value(depth: depth)))
    } while try more(UInt8(ascii: "}"))
    return .object(object)
  }

  private static let checkedMembersMax = 32

  private mutating func number() throws(TokenizerError) -> JSONValue {
    let start = position
    var isInteger = true
    scan: while let byte = current {
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"): break
      case UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"), UInt8(ascii: "+"):
        isInteger = false
      default: break scan
      }
      position += 1
    }
    guard position - start <= 64 else { throw failure("a number of over 64 characters") }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    let digits = text.utf8.drop { $0 == UInt8(ascii: "-") }
    guard let first = digits.first, first != UInt8(ascii: "."),
      first != UInt8(ascii: "0") || digits.count == 1
        || !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digits.dropFirst().first ?? 0)
    else { throw failure("a malformed number") }
    if isInteger, let integer = Int(text) { return .integer(integer) }
    guard let double = Double(text), double.isFinite else { throw failure("a malformed number") }
    return .number(double)
  }

  private mutating func string() throws(TokenizerError) -> String {
    position += 1
    let start = position
    while position < bytes.count {
      let byte = bytes[position]
      if byte == UInt8(ascii: "\"") {
        let text = try validated(bytes[start..<position])
        position += 1
        return text
      }
      if byte == UInt8(ascii: "\\") { return try escapedString(from: start) }
      guard byte >= 0x20 else { throw failure("a control character in a string") }
      position += 1
    }
    throw failure("a string does not end")
  }

  private func validated(_ utf8: some Collection<UInt8>) throws(TokenizerError) -> String {
    guard let text = String(validating: utf8, as: UTF8.self) else {
      throw failure("a string is not UTF-8")
    }
    return text
  }

  /// The rest of a string that has an escape at `position`.
  private mutating func escapedString(from start: Int) throws(TokenizerError) -> String {
    var content = Array(bytes[start..<position])
    while let byte = current {
      position += 1
      switch byte {
      case UInt8(ascii: "\""): return try validated(content)
      case UInt8(ascii: "\\"): try escape(into: &content)
      case 0..<0x20: throw failure("a control character in a string")
      default: content.append(byte)
      }
    }
    throw failure("a string does not end")
  }

  private mutating func escape(into content: inout [UInt8]) throws(TokenizerError) {
    guard let byte = current else { throw failure("a string does not end") }
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): content.append(byte)
    case UInt8(ascii: "b"): content.append(0x08)
    case UInt8(ascii: "f"): content.append(0x0C)
    case UInt8(ascii: "n"): content.append(0x0A)
    case UInt8(ascii: "r"): content.append(0x0D)
    case UInt8(ascii: "t"): content.append(0x09)
    case UInt8(ascii: "u"):
      var value = try hexadecimal()
      if (0xD800..<0xDC00).contains(value), current == UInt8(ascii: "\\") {
        position += 1
        guard current == UInt8(ascii: "u") else { throw failure("a lone surrogate") }
        position += 1
        let low = try hexadecimal()
        guard (0xDC00..<0xE000).contains(low) else { throw failure("a lone surrogate") }
        value = 0x10000 + (value - 0xD800) << 10 + (low - 0xDC00)
      }
      guard let scalar = Unicode.Scalar(value) else { throw failure("a lone surrogate") }
      content.append(contentsOf: UTF8.encode(scalar).map { Array($0) } ?? [])
    default: throw failure("an unknown escape")
    }
  }

  private mutating func hexadecimal() throws(TokenizerError) -> UInt32 {
    guard position + 4 <= bytes.count else { throw failure("a string does not end") }
    var value: UInt32 = 0
    for byte in bytes[position..<position + 4] {
      guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw failure("an unknown escape")
      }
      value = value << 4 | UInt32(digit)
    }
    position += 4
    return value
  }
}
