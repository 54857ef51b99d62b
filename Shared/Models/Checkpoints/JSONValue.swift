/// A JSON value that keeps the order of an object's members.
///
/// Foundation's decoders drop duplicate keys silently; a checkpoint header must refuse them.
enum JSONValue: Equatable {
  case null
  case boolean(Bool)
  /// A number written without fraction and exponent that fits.
  case integer(Int)
  case real(Double)
  case string(String)
  case array([JSONValue])
  case object(JSONObject)

  /// The kind of value, for messages.
  var kind: String {
    switch self {
    case .null: "null"
    case .boolean: "a boolean"
    case .integer(let value): "\(value)"
    case .real(let value): "\(value)"
    case .string(let text): "\"\(text.prefix(40))\""
    case .array: "an array"
    case .object: "an object"
    }
  }
}

/// The members of a JSON object in the order of the text; names are unique.
struct JSONObject: Equatable {
  private(set) var names: [String] = []
  private var values: [String: JSONValue] = [:]

  subscript(name: String) -> JSONValue? { values[name] }

  /// Adds a member; returns whether the name was new.
  mutating func add(_ value: JSONValue, for name: String) -> Bool {
    guard values.updateValue(value, forKey: name) == nil else { return false }
    names.append(name)
    return true
  }
}
