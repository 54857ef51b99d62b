/// Reads one JSON text (RFC 8259) that may be hostile.
///
/// Written by hand because the order of keys counts, because a key that is there twice must be
/// refused, and because its speed is the start-up time of every service. Nesting and the number of
/// values are bounded by `JSONLimits`, strings must be UTF-8 without lone surrogates, nothing may
/// follow the value.
package struct JSONReader {
  private let bytes: UnsafeRawBufferPointer
  private let valuesMax: Int
  private var position = 0
  private var valueCount = 0

  /// Parses all of `bytes` as one value, with white space around it.
  package static func parse(
    _ bytes: UnsafeRawBufferPointer,
    valuesMax: Int = JSONLimits.valuesMax
  ) throws(JSONError) -> JSONValue {
    var reader = JSONReader(bytes: bytes, valuesMax: valuesMax)
    let value = try reader.value(depth: 0)
    reader.skipSpace()
    guard reader.position == bytes.count else { throw reader.failure("text after the value") }
    return value
  }

  /// Parses all of `bytes` as one value, with white space around it.
  package static func parse(
    _ bytes: [UInt8],
    valuesMax: Int = JSONLimits.valuesMax
  ) throws(JSONError) -> JSONValue {
    try bytes.withUnsafeBytes { bytes in
      Result { () throws(JSONError) in try parse(bytes, valuesMax: valuesMax) }
    }.get()
  }

  private init(bytes: UnsafeRawBufferPointer, valuesMax: Int) {
    self.bytes = bytes
    self.valuesMax = valuesMax
  }

  /// Looks for line and column only now: a text that is right need not count its lines.
  private func failure(_ reason: String, at byte: Int? = nil) -> JSONError {
    let byte = byte ?? position
    let before = bytes[..<byte]
    let lineFeed = UInt8(ascii: "\n")
    let lineStart = before.lastIndex(of: lineFeed).map { $0 + 1 } ?? 0
    return JSONError(
      byte: byte,
      line: before.count { $0 == lineFeed } + 1,
      column: byte - lineStart + 1,
      reason: reason
    )
  }

  private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func skipSpace() {
    while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
      position += 1
    }
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard current == byte else { return false }
    position += 1
    return true
  }

  private mutating func value(depth: Int) throws(JSONError) -> JSONValue {
    skipSpace()
    valueCount += 1
    guard valueCount <= valuesMax else { throw failure("over \(valuesMax) values") }
    switch current {
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "{"): return try object(depth: depth + 1)
    case UInt8(ascii: "["): return try array(depth: depth + 1)
    case UInt8(ascii: "t"): return try word("true", .boolean(true))
    case UInt8(ascii: "f"): return try word("false", .boolean(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case UInt8(ascii: "-"): return try number()
    case nil: throw failure("it ends early")
    case let byte? where (0x30...0x39).contains(byte): return try number()
    default: throw failure("a value was expected")
    }
  }

  private mutating func word(
    _ text: StaticString,
    _ value: JSONValue
  ) throws(JSONError) -> JSONValue {
    for index in 0..<text.utf8CodeUnitCount where !take(text.utf8Start[index]) {
      throw failure("a value was expected")
    }
    return value
  }

  private mutating func enter(_ depth: Int) throws(JSONError) {
    guard depth <= JSONLimits.depthMax else {
      throw failure("nested deeper than \(JSONLimits.depthMax)")
    }
    position += 1
    skipSpace()
  }

  /// Steps over `,` (true) or over `close` (false).
  private mutating func more(_ close: UInt8) throws(JSONError) -> Bool {
    skipSpace()
    if take(UInt8(ascii: ",")) {
      skipSpace()
      return true
    }
    if take(close) { return false }
    guard current != nil else { throw failure("it ends early") }
    throw failure("',' or '\(Character(Unicode.Scalar(close)))' was expected")
  }

  private mutating func array(depth: Int) throws(JSONError) -> JSONValue {
    try enter(depth)
    var elements: [JSONValue] = []
    if take(UInt8(ascii: "]")) { return .array(elements) }
    repeat {
      elements.append(try value(depth: depth))
    } while try more(UInt8(ascii: "]"))
    return .array(elements)
  }

  private mutating func object(depth: Int) throws(JSONError) -> JSONValue {
    try enter(depth)
    var object = JSONObject()
    if take(UInt8(ascii: "}")) { return .object(object) }
    repeat {
      guard current == UInt8(ascii: "\"") else { throw failure("a key was expected") }
      let start = position
      let key = try string()
      skipSpace()
      guard take(UInt8(ascii: ":")) else { throw failure("':' was expected") }
      guard object.append(key, try value(depth: depth)) else {
        throw failure("the key \"\(key.excerpt())\" is there twice", at: start)
      }
    } while try more(UInt8(ascii: "}"))
    return .object(object)
  }

  private mutating func digits() -> Int {
    let start = position
    while let byte = current, byte >= 0x30, byte <= 0x39 { position += 1 }
    return position - start
  }

  private mutating func number() throws(JSONError) -> JSONValue {
    let start = position
    _ = take(UInt8(ascii: "-"))
    let leadingZero = current == UInt8(ascii: "0")
    let count = digits()
    guard count > 0, !leadingZero || count == 1 else { throw failure("a malformed number") }
    var isInteger = true
    if take(UInt8(ascii: ".")) {
      isInteger = false
      guard digits() > 0 else { throw failure("a malformed number") }
    }
    if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
      isInteger = false
      if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
      guard digits() > 0 else { throw failure("a malformed number") }
    }
    guard position - start <= JSONLimits.numberBytesMax else {
      throw failure("a number of over \(JSONLimits.numberBytesMax) characters", at: start)
    }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    if isInteger {
      if let value = Int(text) { return .integer(value) }
      if let value = UInt64(text) { return .unsigned(value) }
    }
    guard let value = Double(text), value.isFinite else {
      throw failure("a number out of range", at: start)
    }
    return .number(value)
  }

  /// Reads a string; the opening quote is current.
  private mutating func string() throws(JSONError) -> String {
    position += 1
    let start = position
    while let byte = current, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 {
      position += 1
    }
    if current == UInt8(ascii: "\"") {  // The common case: no escapes.
      defer { position += 1 }
      return try text(UnsafeRawBufferPointer(rebasing: bytes[start..<position]), start)
    }
    var content = Array(bytes[start..<position])
    while let byte = current {
      guard byte >= 0x20 else { throw failure("a control character in a string") }
      position += 1
      if byte == UInt8(ascii: "\"") { return try text(content, start) }
      if byte == UInt8(ascii: "\\") {
        if let encoded = UTF8.encode(try escape()) { content.append(contentsOf: encoded) }
      } else {
        content.append(byte)
      }
    }
    throw failure("a string does not end")
  }

  private func text(_ content: some Collection<UInt8>, _ start: Int) throws(JSONError) -> String {
    if let text = String(validating: content, as: UTF8.self) { return text }
    // Only to say where. An escape begins and ends a character: without them it is the same place.
    var decoder = UTF8()
    var rest = bytes[start...].makeIterator()
    var byte = start
    while case .scalarValue(let scalar) = decoder.decode(&rest) { byte += UTF8.width(scalar) }
    throw failure("a string is not UTF-8", at: byte)
  }

  private mutating func escape() throws(JSONError) -> Unicode.Scalar {
    guard let byte = current else { throw failure("a string does not end") }
    position += 1
    switch byte {
    case UInt8(ascii: "\""): return "\""
    case UInt8(ascii: "\\"): return "\\"
    case UInt8(ascii: "/"): return "/"
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"): return try unicodeEscape()
    default: throw failure("an unknown escape")
    }
  }

  private mutating func unicodeEscape() throws(JSONError) -> Unicode.Scalar {
    let first = try hexQuad()
    var code = UInt32(first)
    if UTF16.isLeadSurrogate(first) {
      guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else {
        throw failure("a lone surrogate")
      }
      let second = try hexQuad()
      guard UTF16.isTrailSurrogate(second) else { throw failure("a lone surrogate") }
      code = 0x10000 + (UInt32(first) & 0x3FF) << 10 + UInt32(second) & 0x3FF
    }
    guard let scalar = Unicode.Scalar(code) else { throw failure("a lone surrogate") }
    return scalar
  }

  private mutating func hexQuad() throws(JSONError) -> UInt16 {
    var value: UInt16 = 0
    for _ in 0..<4 {
      guard let byte = current, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw failure("an escape of four hexadecimal digits was expected")
      }
      value = value << 4 | UInt16(digit)
      position += 1
    }
    return value
  }
}
