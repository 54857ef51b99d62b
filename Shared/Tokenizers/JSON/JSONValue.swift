/// A parsed JSON value.
///
/// Objects keep the order of their keys.
enum JSONValue: Sendable {
  case null
  case bool(Bool)
  /// A number written without fraction and exponent that fits.
  case integer(Int)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object(JSONObject)

  /// What the value is, for messages.
  var kind: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .integer, .number: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}

/// The members of a JSON object in file order.
///
/// A plain list: objects are either small, or vocabularies that are walked once.
struct JSONObject: Sendable {
  var members: [(key: String, value: JSONValue)] = []

  /// The value of `key`; nil if there is no such member or it is null.
  subscript(key: String) -> JSONValue? {
    for member in members where member.key == key {
      if case .null = member.value { return nil }
      return member.value
    }
    return nil
  }
}

/// A JSON object with the place it stands at, so that every complaint names its path.
struct JSONSection {
  let object: JSONObject
  /// For example `tokenizer.json: post_processor`.
  let path: String

  init(_ value: JSONValue, path: String) throws(TokenizerError) {
    guard case .object(let object) = value else {
      throw TokenizerError(.invalidFile, "\(path) must be an object, is \(value.kind)")
    }
    self.object = object
    self.path = path
  }

  private func failure(_ key: String, mustBe: String, _ value: JSONValue?) -> TokenizerError {
    TokenizerError(
      .invalidFile,
      "\(path).\(key) must be \(mustBe), is \(value?.kind ?? "missing")"
    )
  }

  func section(_ key: String) throws(TokenizerError) -> JSONSection? {
    guard let value = object[key] else { return nil }
    return try JSONSection(value, path: "\(path).\(key)")
  }

  func string(_ key: String) throws(TokenizerError) -> String {
    guard case .string(let string)? = object[key] else {
      throw failure(key, mustBe: "a string", object[key])
    }
    return string
  }

  func optionalString(_ key: String) throws(TokenizerError) -> String? {
    object[key] == nil ? nil : try string(key)
  }

  func bool(_ key: String, default fallback: Bool? = nil) throws(TokenizerError) -> Bool {
    switch object[key] {
    case .bool(let bool)?: return bool
    case nil:
      guard let fallback else { throw failure(key, mustBe: "true or false", nil) }
      return fallback
    case let other: throw failure(key, mustBe: "true or false", other)
    }
  }

  func integer(_ key: String) throws(TokenizerError) -> Int {
    guard case .integer(let integer)? = object[key] else {
      throw failure(key, mustBe: "an integer", object[key])
    }
    return integer
  }

  func array(_ key: String) throws(TokenizerError) -> [JSONValue] {
    guard case .array(let array)? = object[key] else {
      throw failure(key, mustBe: "an array", object[key])
    }
    return array
  }

  /// Refuses settings that would change the result and are not implemented.
  func refuse(_ key: String, unless isHarmless: (JSONValue) -> Bool) throws(TokenizerError) {
    guard let value = object[key], !isHarmless(value) else { return }
    throw TokenizerError(.unsupported, "\(path).\(key): this setting is not supported")
  }
}
