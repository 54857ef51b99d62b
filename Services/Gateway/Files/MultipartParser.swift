/// Why a body is not multipart form data.
struct MultipartError: Error, Sendable {
  /// What is wrong, for the caller.
  let message: String
}

/// Reads `multipart/form-data` (RFC 7578, RFC 2046) as it arrives, in memory that does not grow with the body.
///
/// A pure state machine: bytes go in, events come out; data is handed on as soon as it cannot be part of a delimiter.
struct MultipartParser {
  /// Longest boundary, in bytes (RFC 2046, 5.1.1).
  static let boundaryBytesMax = 70
  /// Most bytes of the headers of one part.
  static let headerBytesMax = 8 << 10
  /// Most blanks behind a boundary.
  static let paddingBytesMax = 64
  /// Most parts of a body.
  static let partsMax = 64

  /// What has been read.
  enum Event: Equatable {
    /// A part begins.
    case part(name: String, filename: String?)
    /// Bytes of the part; never empty.
    case data(ArraySlice<UInt8>)
    /// The part is complete.
    case end
  }

  private enum State {
    /// Before the first delimiter.
    case preamble
    /// Behind a delimiter: another part or the end.
    case delimited
    case headers
    /// Before the line break that ends the headers, which may be the delimiter's: a part without a body.
    case body
    case data
    /// Behind the last delimiter: what follows means nothing.
    case epilogue
  }

  private static let crlf: [UInt8] = [13, 10]
  /// `\r\n--boundary`.
  private let delimiter: [UInt8]
  /// Bytes that were not understood yet: at most the headers' bound and a delimiter, and what came last.
  private var rest: [UInt8]
  private var state = State.preamble
  private var parts = 0

  /// A parser of a body with this boundary.
  init(boundary: [UInt8]) {
    delimiter = Self.crlf + [45, 45] + boundary
    // The first delimiter stands at the body's beginning.
    rest = Self.crlf
  }

  /// Whether the last delimiter was read: the body is complete.
  var isComplete: Bool { if case .epilogue = state { true } else { false } }

  /// Reads more bytes of the body and hands on what they complete; throws ``MultipartError`` and what `onEvent` throws.
  mutating func append(
    _ bytes: some Sequence<UInt8>,
    onEvent: (Event) throws -> Void
  ) throws {
    if case .epilogue = state { return }
    rest += bytes
    var position = 0
    while try step(&position, onEvent) {}
    rest.removeFirst(position)
  }

  /// One step; false if it needs more bytes.
  private mutating func step(
    _ position: inout Int,
    _ onEvent: (Event) throws -> Void
  ) throws -> Bool {
    switch state {
    case .preamble, .data:
      let (found, safe) = delimiterIndex(from: position)
      if case .data = state {
        if safe > position { try onEvent(.data(rest[position..<safe])) }
        if found { try onEvent(.end) }
      }
      position = safe
      guard found else { return false }
      position += delimiter.count
      state = .delimited
    case .delimited:
      return try readDelimiterEnd(&position)
    case .headers:
      guard let end = index(of: Self.crlf + Self.crlf, from: position) else {
        // Up to three bytes of the end may be there.
        guard rest.count - position <= Self.headerBytesMax + 3 else { throw Self.headersTooLong }
        return false
      }
      guard end - position <= Self.headerBytesMax else { throw Self.headersTooLong }
      let head = try MultipartHead(rest[position..<end])
      position = end + 2
      state = .body
      try onEvent(.part(name: head.name, filename: head.filename))
    case .body:
      let common = zip(rest[position...], delimiter).prefix { $0 == $1 }.count
      if common == delimiter.count {
        position += common
        state = .delimited
        try onEvent(.end)
      } else if position + common < rest.count {
        position += 2
        state = .data
      } else {
        return false
      }
    case .epilogue:
      position = rest.count
      return false
    }
    return true
  }

  /// The end of a delimiter's line: `--` after the last one, padding and a line break after the others.
  private mutating func readDelimiterEnd(_ position: inout Int) throws -> Bool {
    guard rest.count - position >= 2 else { return false }
    if rest[position] == 45, rest[position + 1] == 45 {
      state = .epilogue
      return true
    }
    let end = index(of: Self.crlf, from: position)
    // Without an end, its first byte may be there.
    guard (end ?? rest.count - 1) - position <= Self.paddingBytesMax else {
      throw MultipartError(message: "the line of a boundary does not end")
    }
    guard let end else { return false }
    guard rest[position..<end].allSatisfy({ $0 == 32 || $0 == 9 }) else {
      throw MultipartError(message: "a boundary is followed by other text")
    }
    parts += 1
    guard parts <= Self.partsMax else {
      throw MultipartError(message: "it has more than \(Self.partsMax) parts")
    }
    // The headers' first line break is this one: a part without headers is `\r\n\r\n`.
    position = end
    state = .headers
    return true
  }

  private static let headersTooLong = MultipartError(
    message: "the headers of a part are longer than \(headerBytesMax) bytes"
  )

  /// Where the next delimiter begins or, without one, the place up to which none can.
  private func delimiterIndex(from start: Int) -> (found: Bool, index: Int) {
    if let index = index(of: delimiter, from: start) { return (true, index) }
    // The longest end that a delimiter may begin with.
    var tail = max(start, rest.count - delimiter.count + 1)
    while tail < rest.count, !delimiter.starts(with: rest[tail...]) { tail += 1 }
    return (false, tail)
  }

  private func index(of pattern: [UInt8], from start: Int) -> Int? {
    var start = start
    while let first = rest[start...].firstIndex(of: pattern[0]) {
      guard rest.count - first >= pattern.count else { return nil }
      if rest[first..<first + pattern.count].elementsEqual(pattern) { return first }
      start = first + 1
    }
    return nil
  }
}
