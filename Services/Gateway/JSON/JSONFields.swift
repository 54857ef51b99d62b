import JSON

/// Reads the fields of a JSON object strictly: no value is taken for another type's, `null` counts
/// as absent, and every error names the field as OpenAI's API names it.
struct JSONFields: Sendable {
  /// Names longer than this, in bytes, are not known.
  private static let nameBytesMax = 64
  /// Longest text where one of a few words must be, in bytes.
  private static let choiceBytesMax = 1 << 20

  let object: JSONObject
  /// What stands before a field's name in errors, such as `messages[0].`.
  let path: String

  /// The fields of the object that `value` must be; `name` is what errors call it.
  init(_ value: JSONValue, name: String) throws(GatewayError) {
    guard case .object(let object) = value else { throw .type(of: name, "an object", value) }
    self.init(object: object, path: "\(name).")
  }

  init(object: JSONObject, path: String = "") {
    self.object = object
    self.path = path
  }

  /// A field's name in errors.
  func name(_ field: String) -> String { path + field }

  /// The value of a field; nil if absent or `null`.
  func value(_ field: String) -> JSONValue? { object[field] }

  /// Whether a field is there and `null`, where that means something else than its absence.
  func isNull(_ field: String) -> Bool {
    object.members.contains { $0.key.isSame(field) && $0.value.isNull }
  }

  /// Refuses the first field that is not in `known`.
  func refuseUnknown(_ known: Set<String>) throws(GatewayError) {
    // A set hashes only names that are short: hashing takes time quadratic in a hostile one.
    let unknown = object.members.first { member in
      member.key.utf8.count > Self.nameBytesMax || !known.contains(member.key)
    }
    guard let unknown else { return }
    let name = unknown.key.quotable
    if path.isEmpty {
      throw .invalid(nil, nil, "Unrecognized request argument supplied: \(name)")
    }
    throw .invalid(path + name, "unknown_parameter", "Unknown parameter: '\(path)\(name)'.")
  }

  /// The error for a field that must be there.
  func missing(_ field: String) -> GatewayError {
    .invalid(
      name(field),
      "missing_required_parameter",
      "Missing required parameter: '\(name(field))'."
    )
  }

  /// The error for a field that is known and not supported here.
  func unsupported(_ field: String, _ remark: String = "") -> GatewayError {
    let tail = remark.isEmpty ? "" : " \(remark)"
    return .invalid(
      name(field),
      "unsupported_parameter",
      "Unsupported parameter: '\(name(field))' is not supported with this value.\(tail)"
    )
  }

  func bool(_ field: String) throws(GatewayError) -> Bool? {
    guard let value = value(field) else { return nil }
    guard case .boolean(let flag) = value else { throw .type(of: name(field), "a boolean", value) }
    return flag
  }

  /// A text without NUL (no service takes one), of at most `bytesMax` bytes.
  func text(_ field: String, bytesMax: Int) throws(GatewayError) -> String? {
    guard let value = value(field) else { return nil }
    return try Self.text(value, name: name(field), bytesMax: bytesMax)
  }

  /// The text that `value` must be.
  static func text(
    _ value: JSONValue,
    name: String,
    bytesMax: Int
  ) throws(GatewayError) -> String {
    guard case .string(let text) = value else { throw .type(of: name, "a string", value) }
    guard !text.utf8.contains(0) else {
      throw .invalid(
        name,
        "invalid_value",
        "Invalid '\(name)': the text contains a NUL character (U+0000)."
      )
    }
    guard text.utf8.count <= bytesMax else {
      throw .invalid(
        name,
        "string_above_max_length",
        "Invalid '\(name)': string too long. Expected a string of at most \(bytesMax) bytes, "
          + "but got one of \(text.utf8.count) bytes instead."
      )
    }
    return text
  }

  func integer(_ field: String, in range: ClosedRange<Int128>) throws(GatewayError) -> Int128? {
    guard let value = value(field) else { return nil }
    let number: Int128
    switch value {
    case .integer(let integer): number = Int128(integer)
    case .unsigned(let integer): number = Int128(integer)
    // Beyond 64 bits: all that matters is on which side.
    case .number(let integer) where abs(integer) >= 0x1p63 && abs(integer) < 0x1p126:
      number = Int128(integer)
    default: throw .type(of: name(field), "an integer", value)
    }
    guard range.contains(number) else {
      throw .outOfRange(
        name(field),
        "integer",
        isBelow: number < range.lowerBound,
        bound: number < range.lowerBound ? "\(range.lowerBound)" : "\(range.upperBound)",
        value: "\(number)"
      )
    }
    return number
  }

  func number(_ field: String, in range: ClosedRange<Double>) throws(GatewayError) -> Double? {
    guard let value = value(field) else { return nil }
    let number: Double
    switch value {
    case .integer(let integer): number = Double(integer)
    case .unsigned(let integer): number = Double(integer)
    case .number(let decimal): number = decimal
    default: throw .type(of: name(field), "a decimal number", value)
    }
    guard range.contains(number) else {
      let isBelow = number < range.lowerBound
      throw .outOfRange(
        name(field),
        "decimal",
        isBelow: isBelow,
        bound: Self.plain(isBelow ? range.lowerBound : range.upperBound),
        value: Self.plain(number)
      )
    }
    return number
  }

  /// A list of `count` items.
  func array(
    _ field: String,
    count: ClosedRange<Int>
  ) throws(GatewayError) -> [JSONValue]? {
    guard let value = value(field) else { return nil }
    guard case .array(let items) = value else { throw .type(of: name(field), "an array", value) }
    try Self.check(items, name: name(field), count: count)
    return items
  }

  static func check(
    _ items: [JSONValue],
    name: String,
    count: ClosedRange<Int>
  ) throws(GatewayError) {
    if items.count < count.lowerBound {
      throw .invalid(
        name,
        "empty_array",
        "Invalid '\(name)': empty array. Expected an array with minimum length "
          + "\(count.lowerBound), but got an empty array instead."
      )
    }
    if items.count > count.upperBound {
      throw .invalid(
        name,
        "array_above_max_length",
        "Invalid '\(name)': array too long. Expected an array with maximum length "
          + "\(count.upperBound), but got an array with length \(items.count) instead."
      )
    }
  }

  /// One of a closed list of words.
  func choice(_ field: String, of words: [String]) throws(GatewayError) -> String? {
    guard let text = try text(field, bytesMax: Self.choiceBytesMax) else { return nil }
    guard words.contains(where: text.isSame) else {
      throw .value(of: name(field), text, allowed: words)
    }
    return text
  }

  /// A number as people write it: `2`, not `2.0`.
  private static func plain(_ number: Double) -> String {
    number == number.rounded() && abs(number) < 1e15 ? "\(Int64(number))" : "\(number)"
  }
}

extension JSONValue {
  /// The kind of value in the words of OpenAI's errors.
  fileprivate var typeName: String {
    switch self {
    case .integer, .unsigned: "an integer"
    case .number: "a decimal number"
    case .array(let items) where items.isEmpty: "an empty array"
    default: kind
    }
  }

  /// Whether it is the string `text`.
  func isString(_ text: String) -> Bool {
    if case .string(let own) = self { own.isSame(text) } else { false }
  }

  /// Whether it is an array without items.
  var isEmptyArray: Bool { if case .array(let items) = self { items.isEmpty } else { false } }
}

extension GatewayError {
  static func type(of name: String, _ expected: String, _ value: JSONValue) -> GatewayError {
    .invalid(
      name,
      "invalid_type",
      "Invalid type for '\(name)': expected \(expected), but got \(value.typeName) instead."
    )
  }

  static func value(of name: String, _ value: String, allowed: [String]) -> GatewayError {
    let words = allowed.map { "'\($0)'" }
    let list =
      words.count > 1
      ? words.dropLast().joined(separator: ", ") + ", and " + words[words.count - 1]
      : words.joined()
    return .invalid(
      name,
      "invalid_value",
      "Invalid value: '\(value.quotable)'. Supported values are: \(list)."
    )
  }

  fileprivate static func outOfRange(
    _ name: String,
    _ kind: String,
    isBelow: Bool,
    bound: String,
    value: String
  ) -> GatewayError {
    .invalid(
      name,
      "\(kind)_\(isBelow ? "below_min" : "above_max")_value",
      "Invalid '\(name)': \(kind) \(isBelow ? "below minimum" : "above maximum") value. "
        + "Expected a value \(isBelow ? ">=" : "<=") \(bound), but got \(value) instead."
    )
  }
}
