import JSON

/// Typed access to the members of one JSON file, with errors that name the file, the key and the value.
struct ConfigurationReader {
  /// The longest string: all name something, and Swift's `==` is quadratic on hostile ones.
  static let stringBytesMax = 256

  let file: String
  let object: JSONObject

  init(file: String, object: JSONObject) {
    self.file = file
    self.object = object
  }

  /// Reads the JSON object in the file at `path`.
  init(path: String, bytesMax: Int) throws(CheckpointError) {
    let mapping = try MappedFile(path: path, bytesMax: bytesMax)
    let value: JSONValue
    do {
      value = try JSONReader.parse(mapping.bytes)
    } catch {
      throw CheckpointError(.malformed, file: path, "is not JSON: \(error)", cause: error)
    }
    guard case .object(let object) = value else {
      throw CheckpointError(.malformed, file: path, "is \(value.summary), not a JSON object")
    }
    self.init(file: path, object: object)
  }

  func failure(_ key: String, _ message: String) -> CheckpointError {
    CheckpointError(.malformed, file: file, "\"\(key)\" \(message)")
  }

  func unsupported(_ key: String, _ message: String) -> CheckpointError {
    CheckpointError(.unsupported, file: file, "\"\(key)\" \(message)")
  }

  /// The member called `key`; nil when it is absent or null.
  func value(_ key: String) -> JSONValue? {
    object[key]
  }

  /// A string of at most `stringBytesMax`.
  func string(_ key: String) throws(CheckpointError) -> String? {
    switch value(key) {
    case nil: return nil
    case .string(let text):
      guard text.utf8.count <= Self.stringBytesMax else {
        throw failure(
          key,
          "has \(text.utf8.count) bytes; at most \(Self.stringBytesMax) are accepted"
        )
      }
      return text
    case .some(let other): throw failure(key, "is \(other.summary), not a string")
    }
  }

  func boolean(_ key: String) throws(CheckpointError) -> Bool? {
    switch value(key) {
    case nil: return nil
    case .boolean(let flag): return flag
    case .some(let other): throw failure(key, "is \(other.summary), not a boolean")
    }
  }

  func integer(_ key: String, in range: ClosedRange<Int>) throws(CheckpointError) -> Int? {
    switch value(key) {
    case nil: return nil
    case .integer(let number):
      guard range.contains(number) else {
        throw failure(
          key,
          "is \(number); \(range.lowerBound) to \(range.upperBound) is accepted"
        )
      }
      return number
    case .some(let other): throw failure(key, "is \(other.summary), not an integer")
    }
  }

  func real(_ key: String, in range: ClosedRange<Double>) throws(CheckpointError) -> Double? {
    let number: Double
    switch value(key) {
    case nil: return nil
    case .integer(let value): number = Double(value)
    case .number(let value): number = value
    case .some(let other): throw failure(key, "is \(other.summary), not a number")
    }
    guard range.contains(number) else {
      throw failure(key, "is \(number); \(range.lowerBound) to \(range.upperBound) is accepted")
    }
    return number
  }

  func reader(_ key: String) throws(CheckpointError) -> ConfigurationReader? {
    switch value(key) {
    case nil: return nil
    case .object(let object): return ConfigurationReader(file: file, object: object)
    case .some(let other): throw failure(key, "is \(other.summary), not an object")
    }
  }

  /// The most token ids in a list.
  static let tokenIDsMax = 64

  /// A token id, or a list of them; empty when absent.
  func tokenIDs(_ key: String, vocabulary: Int) throws(CheckpointError) -> [UInt32] {
    let elements: [JSONValue]
    switch value(key) {
    case nil: return []
    case .array(let list): elements = list
    case .some(let single): elements = [single]
    }
    guard elements.count <= Self.tokenIDsMax else {
      throw failure(key, "holds \(elements.count) ids; at most \(Self.tokenIDsMax) are accepted")
    }
    var ids: [UInt32] = []
    for element in elements {
      guard case .integer(let id) = element, id >= 0, id < vocabulary else {
        throw failure(key, "holds \(element.summary), not an id below vocab_size \(vocabulary)")
      }
      ids.append(UInt32(id))
    }
    return ids
  }
}
