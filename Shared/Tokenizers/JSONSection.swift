import JSON

/// A JSON object with the place it stands at, so that every complaint names its path.
struct JSONSection {
  let object: JSONObject
  /// For example `tokenizer.json: post_processor`.
  let path: String

  /// The object that a whole file is.
  init(file: [UInt8], name: String) throws(TokenizerError) {
    guard file.count <= TokenizerLimits.fileBytesMax else {
      throw TokenizerError(
        .limitExceeded,
        "\(name) has \(file.count) bytes, the limit is \(TokenizerLimits.fileBytesMax)"
      )
    }
    let value: JSONValue
    do {
      value = try JSONReader.parse(file)
    } catch {
      throw TokenizerError(.invalidFile, "\(name) is not valid JSON: \(error)", cause: error)
    }
    try self.init(value, path: name)
  }

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

  /// A string that names one of a few things.
  ///
  /// Long ones name none; what is left is short enough for Swift's `==`, which is quadratic.
  func word(_ key: String) throws(TokenizerError) -> String {
    let word = try string(key)
    guard word.utf8.count <= TokenizerLimits.wordBytesMax else {
      throw TokenizerError(
        .unsupported,
        "\(path).\(key): \"\(word.excerpt())\" is not supported"
      )
    }
    return word
  }

  func optionalWord(_ key: String) throws(TokenizerError) -> String? {
    object[key] == nil ? nil : try word(key)
  }

  func bool(_ key: String, default fallback: Bool? = nil) throws(TokenizerError) -> Bool {
    switch object[key] {
    case .boolean(let bool)?: return bool
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
