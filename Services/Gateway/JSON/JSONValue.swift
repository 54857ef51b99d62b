/// A value of a JSON text (RFC 8259).
enum JSONValue: Sendable, Equatable {
  case null
  case bool(Bool)
  /// A number written without fraction and exponent.
  case integer(Int128)
  /// Any other number; finite.
  case decimal(Double)
  case string(String)
  case array([JSONValue])
  case object(JSONObject)

  /// The kind of value in words, with its article: for error messages.
  var kind: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .integer: "an integer"
    case .decimal: "a decimal number"
    case .string: "a string"
    case .array(let items): items.isEmpty ? "an empty array" : "an array"
    case .object: "an object"
    }
  }
}

/// The members of a JSON object in their order; names are unique.
struct JSONObject: Sendable, Equatable {
  struct Member: Sendable, Equatable {
    let name: String
    let value: JSONValue
  }

  var members: [Member] = []

  var isEmpty: Bool { members.isEmpty }

  /// The value of `name`; linear in the number of members.
  subscript(name: String) -> JSONValue? {
    members.first { $0.name == name }?.value
  }
}

/// Why a text is not JSON, and where.
struct JSONError: Error, Sendable, Equatable {
  /// What is wrong, as a clause: "expected ',' or '}'".
  let problem: String
  /// Bytes before the place.
  let offset: Int
  /// Line of the place, from 1.
  let line: Int
  /// Byte within the line, from 1.
  let column: Int

  /// The problem with its place.
  var message: String { "\(problem) at line \(line), column \(column) (byte \(offset))" }
}
