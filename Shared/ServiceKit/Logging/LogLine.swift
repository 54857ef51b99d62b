import Logging

/// How log lines are written (`log.format`).
package enum LogFormat: String, Sendable, CaseIterable, OptionValue {
  /// logfmt: `key=value` pairs, values quoted where needed.
  case text
  /// One JSON object per line.
  case json
}

/// Builds one log line.
///
/// Whatever the fields hold, the result is one line of valid UTF-8 without
/// control characters, and of bounded length.
struct LogLine {
  /// Longest line in bytes, the line feed included.
  static let bytesMax = 8 << 10
  /// Longest message or metadata value in bytes, before escaping.
  static let valueBytesMax = 2 << 10
  /// Most nested metadata levels; deeper ones are shown as `…`.
  static let depthMax = 4
  /// Room kept for the mark that says fields were left out.
  private static let reserve = 32
  /// The names that events use themselves; metadata of the same name gets the prefix `meta_`.
  private static let reserved: Set<String> = [
    "time", "level", "service", "msg", "request_id", "error", "truncated",
  ]

  private let format: LogFormat
  private var bytes: [UInt8] = []
  private var isTruncated = false

  init(format: LogFormat) {
    self.format = format
    bytes.reserveCapacity(256)
    if format == .json { bytes.append(UInt8(ascii: "{")) }
  }

  /// Adds a field of the line's own; the caller vouches for the name.
  mutating func add(_ name: String, _ value: String) {
    var field = separator(name)
    Self.append(value, to: &field, format: format)
    append(field)
  }

  /// Adds a metadata field under a name that cannot clash or break the line.
  mutating func add(metadata name: String, _ value: Logger.MetadataValue) {
    var clean = String(
      String.UnicodeScalarView(name.unicodeScalars.prefix(64).map(Self.nameScalar))
    )
    if clean.isEmpty { clean = "_" }
    var field = separator(Self.reserved.contains(clean) ? "meta_\(clean)" : clean)
    switch (format, value) {
    case (_, .string(let text)):
      Self.append(text, to: &field, format: format)
    case (_, .stringConvertible(let item)):
      Self.append(item.description, to: &field, format: format)
    case (.json, _):
      Self.appendJSON(value, to: &field, depth: 0)
    case (.text, _):
      var json: [UInt8] = []
      Self.appendJSON(value, to: &json, depth: 0)
      Self.append(String(decoding: json, as: UTF8.self), to: &field, format: .text)
    }
    append(field)
  }

  /// The finished line, with its line feed.
  consuming func finished() -> [UInt8] {
    if isTruncated {
      bytes += separator("truncated")
      bytes += "true".utf8
    }
    if format == .json { bytes.append(UInt8(ascii: "}")) }
    bytes.append(UInt8(ascii: "\n"))
    return bytes
  }

  private mutating func append(_ field: [UInt8]) {
    guard bytes.count + field.count <= Self.bytesMax - Self.reserve else {
      isTruncated = true
      return
    }
    bytes += field
  }

  private func separator(_ name: String) -> [UInt8] {
    switch format {
    case .text: Array((bytes.isEmpty ? "" : " ").utf8) + Array("\(name)=".utf8)
    case .json: Array((bytes.count == 1 ? "\"" : ",\"").utf8) + Array("\(name)\":".utf8)
    }
  }

  private static func nameScalar(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
    switch scalar {
    case "a"..."z", "A"..."Z", "0"..."9", "_", "-", ".", ":", "/": scalar
    default: "_"
    }
  }

  // MARK: - Values

  private static func append(_ value: String, to field: inout [UInt8], format: LogFormat) {
    if format == .text, !value.isEmpty, value.utf8.count <= valueBytesMax,
      value.utf8.allSatisfy(isBare)
    {
      field += value.utf8
    } else {
      appendQuoted(value, to: &field)
    }
  }

  /// Bytes that logfmt takes without quotes.
  private static func isBare(_ byte: UInt8) -> Bool {
    byte > 0x20 && byte < 0x7f && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "=")
      && byte != UInt8(ascii: "\\")
  }

  /// Appends a JSON string, which is also what logfmt readers take in quotes.
  private static func appendQuoted(_ value: String, to field: inout [UInt8]) {
    field.append(UInt8(ascii: "\""))
    var room = valueBytesMax
    for scalar in value.unicodeScalars {
      let width = UTF8.width(scalar)
      guard room >= width else {
        field += "…".utf8
        break
      }
      room -= width
      append(scalar, to: &field)
    }
    field.append(UInt8(ascii: "\""))
  }

  private static func append(_ scalar: Unicode.Scalar, to field: inout [UInt8]) {
    switch scalar.value {
    case 0x22: field += #"\""#.utf8
    case 0x5c: field += #"\\"#.utf8
    case 0x0a: field += #"\n"#.utf8
    case 0x0d: field += #"\r"#.utf8
    case 0x09: field += #"\t"#.utf8
    // C0 and C1 controls, line and paragraph separators, and the marks that reorder text.
    case 0...0x1f, 0x7f...0x9f, 0x2028...0x202e, 0x2066...0x2069:
      let hex = String(scalar.value, radix: 16)
      field += "\\u".utf8
      field += String(repeating: "0", count: 4 - hex.count).utf8
      field += hex.utf8
    default: field += UTF8.encode(scalar).map(Array.init) ?? []
    }
  }

  private static func appendJSON(
    _ value: Logger.MetadataValue,
    to field: inout [UInt8],
    depth: Int
  ) {
    guard depth < depthMax, field.count < bytesMax else {
      appendQuoted("…", to: &field)
      return
    }
    switch value {
    case .string(let text): appendQuoted(text, to: &field)
    case .stringConvertible(let item): appendQuoted(item.description, to: &field)
    case .array(let items):
      field.append(UInt8(ascii: "["))
      for (index, item) in items.enumerated() where field.count < bytesMax {
        if index > 0 { field.append(UInt8(ascii: ",")) }
        appendJSON(item, to: &field, depth: depth + 1)
      }
      field.append(UInt8(ascii: "]"))
    case .dictionary(let pairs):
      field.append(UInt8(ascii: "{"))
      for (index, pair) in pairs.sorted(by: { $0.key < $1.key }).enumerated()
      where field.count < bytesMax {
        if index > 0 { field.append(UInt8(ascii: ",")) }
        appendQuoted(pair.key, to: &field)
        field.append(UInt8(ascii: ":"))
        appendJSON(pair.value, to: &field, depth: depth + 1)
      }
      field.append(UInt8(ascii: "}"))
    }
  }
}
