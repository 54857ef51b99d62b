/// Reads one JSON text, strictly as RFC 8259 has it, within bounds.
///
/// Beyond the grammar it refuses a name that occurs twice in an object (readers disagree on what
/// that means), numbers beyond `Double`, and escapes that are not a Unicode scalar.
struct JSONParser {
  /// Deepest nesting of arrays and objects; it bounds the recursion.
  static let depthMax = 32
  /// Most values in a text; it bounds memory to a small multiple of the text's size.
  static let valuesMax = 100_000
  /// Longest number, in bytes.
  static let numberBytesMax = 64

  private let bytes: [UInt8]
  private var index = 0
  private var depth = 0
  private var values = 0

  private init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// The value of a whole text.
  static func parse(_ bytes: [UInt8]) throws(JSONError) -> JSONValue {
    var parser = JSONParser(bytes)
    parser.skipSpace()
    guard parser.index < bytes.count else { throw parser.error("expected a value, found the end") }
    let value = try parser.value()
    parser.skipSpace()
    guard parser.index == bytes.count else { throw parser.error("unexpected text after the value") }
    return value
  }

  // MARK: - Values

  private mutating func value() throws(JSONError) -> JSONValue {
    values += 1
    guard values <= Self.valuesMax else { throw error("more than \(Self.valuesMax) values") }
    switch peek {
    case UInt8(ascii: "{"):
      return .object(try nested { parser throws(JSONError) in try parser.object() })
    case UInt8(ascii: "["):
      return .array(try nested { parser throws(JSONError) in try parser.array() })
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try literal("true", .bool(true))
    case UInt8(ascii: "f"): return try literal("false", .bool(false))
    case UInt8(ascii: "n"): return try literal("null", .null)
    case UInt8(ascii: "-"): return try number()
    case .some(UInt8(ascii: "0")...UInt8(ascii: "9")): return try number()
    case nil: throw error("expected a value, found the end")
    default: throw error("expected a value")
    }
  }

  private mutating func nested<Value>(
    _ read: (inout JSONParser) throws(JSONError) -> Value
  ) throws(JSONError) -> Value {
    guard depth < Self.depthMax else { throw error("nested deeper than \(Self.depthMax) levels") }
    depth += 1
    index += 1
    let value = try read(&self)
    depth -= 1
    return value
  }

  private mutating func array() throws(JSONError) -> [JSONValue] {
    var items: [JSONValue] = []
    skipSpace()
    if take(UInt8(ascii: "]")) { return items }
    while true {
      skipSpace()
      items.append(try value())
      skipSpace()
      if take(UInt8(ascii: "]")) { return items }
      guard take(UInt8(ascii: ",")) else { throw error("expected ',' or ']'") }
    }
  }

  private mutating func object() throws(JSONError) -> JSONObject {
    var object = JSONObject()
    var names: Set<String> = []
    skipSpace()
    if take(UInt8(ascii: "}")) { return object }
    while true {
      skipSpace()
      guard peek == UInt8(ascii: "\"") else { throw error("expected a name in quotes") }
      let start = index
      let name = try string()
      guard names.insert(name).inserted else { throw error("a name occurs twice", at: start) }
      skipSpace()
      guard take(UInt8(ascii: ":")) else { throw error("expected ':'") }
      skipSpace()
      object.members.append(.init(name: name, value: try value()))
      skipSpace()
      if take(UInt8(ascii: "}")) { return object }
      guard take(UInt8(ascii: ",")) else { throw error("expected ',' or '}'") }
    }
  }

  private mutating func literal(
    _ word: StaticString,
    _ value: JSONValue
  ) throws(JSONError) -> JSONValue {
    let matches = word.withUTF8Buffer { bytes[index...].starts(with: $0) }
    guard matches else { throw error("expected a value") }
    index += word.utf8CodeUnitCount
    return value
  }

  private mutating func number() throws(JSONError) -> JSONValue {
    let start = index
    var isInteger = true
    _ = take(UInt8(ascii: "-"))
    if !take(UInt8(ascii: "0")) { try digits() }
    if take(UInt8(ascii: ".")) {
      isInteger = false
      try digits()
    }
    if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
      isInteger = false
      if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
      try digits()
    }
    guard index - start <= Self.numberBytesMax else {
      throw error("a number longer than \(Self.numberBytesMax) characters", at: start)
    }
    let text = String(decoding: bytes[start..<index], as: UTF8.self)
    if isInteger, let value = Int128(text) { return .integer(value) }
    guard let value = Double(text), value.isFinite else {
      throw error("a number out of range", at: start)
    }
    return .decimal(value)
  }

  private mutating func digits() throws(JSONError) {
    let start = index
    while let byte = peek, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { index += 1 }
    guard index > start else { throw error("expected a digit") }
  }

  // MARK: - Strings

  private mutating func string() throws(JSONError) -> String {
    let start = index + 1
    index = start
    while let byte = peek {
      switch byte {
      case UInt8(ascii: "\""):
        let text = try decoded(start..<index)
        index += 1
        return text
      case UInt8(ascii: "\\"): return try escapedString(from: start)
      case 0..<0x20: throw error("a control character in a string")
      default: index += 1
      }
    }
    throw error("a string without end", at: start - 1)
  }

  /// The rest of a string from its first escape on.
  private mutating func escapedString(from start: Int) throws(JSONError) -> String {
    var text = try decoded(start..<index)
    var run = index
    while let byte = peek {
      switch byte {
      case UInt8(ascii: "\""):
        text += try decoded(run..<index)
        index += 1
        return text
      case UInt8(ascii: "\\"):
        text += try decoded(run..<index)
        text.unicodeScalars.append(try escape())
        run = index
      case 0..<0x20: throw error("a control character in a string")
      default: index += 1
      }
    }
    throw error("a string without end", at: start - 1)
  }

  private mutating func escape() throws(JSONError) -> Unicode.Scalar {
    let start = index
    index += 1
    guard let byte = peek else { throw error("a string without end") }
    index += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
    case UInt8(ascii: "b"): return "\u{08}"
    case UInt8(ascii: "f"): return "\u{0c}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"): break
    default: throw error("an unknown escape", at: start)
    }
    let unit = try hexadecimal()
    guard UTF16.isLeadSurrogate(unit) else {
      guard let scalar = Unicode.Scalar(unit) else {
        throw error("half a surrogate pair", at: start)
      }
      return scalar
    }
    guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else {
      throw error("half a surrogate pair", at: start)
    }
    let trail = try hexadecimal()
    guard UTF16.isTrailSurrogate(trail) else { throw error("half a surrogate pair", at: start) }
    let value = 0x10000 + (UInt32(unit & 0x3ff) << 10) + UInt32(trail & 0x3ff)
    guard let scalar = Unicode.Scalar(value) else {
      throw error("half a surrogate pair", at: start)
    }
    return scalar
  }

  private mutating func hexadecimal() throws(JSONError) -> UInt16 {
    var value: UInt16 = 0
    for _ in 0..<4 {
      guard let byte = peek, byte < 0x80, let digit = Character(Unicode.Scalar(byte)).hexDigitValue
      else { throw error("expected four hexadecimal digits") }
      value = value << 4 | UInt16(digit)
      index += 1
    }
    return value
  }

  private func decoded(_ range: Range<Int>) throws(JSONError) -> String {
    if let text = String(validating: bytes[range], as: UTF8.self) { return text }
    // The slow way, only to say where.
    var decoder = UTF8()
    var iterator = bytes[range].makeIterator()
    var offset = range.lowerBound
    while case .scalarValue(let scalar) = decoder.decode(&iterator) { offset += UTF8.width(scalar) }
    throw error("invalid UTF-8", at: offset)
  }

  // MARK: - Bytes

  private var peek: UInt8? { index < bytes.count ? bytes[index] : nil }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard peek == byte else { return false }
    index += 1
    return true
  }

  private mutating func skipSpace() {
    while let byte = peek, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 {
      index += 1
    }
  }

  private func error(_ problem: String, at place: Int? = nil) -> JSONError {
    let offset = min(place ?? index, bytes.count)
    let before = bytes[..<offset]
    let newline = UInt8(ascii: "\n")
    let lineStart = before.lastIndex(of: newline).map { $0 + 1 } ?? 0
    return JSONError(
      problem: problem,
      offset: offset,
      line: before.count { $0 == newline } + 1,
      column: offset - lineStart + 1
    )
  }
}
