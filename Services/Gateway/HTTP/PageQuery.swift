import Hummingbird
import JSON

/// The parameters of a list's address, read as strictly as a body's fields.
struct PageQuery: Sendable {
  /// Longest value, in bytes.
  static let valueBytesMax = 256

  private let fields: [(name: String, value: String)]

  init(_ request: Request) {
    fields = request.uri.queryParameters.map { (String($0.key), String($0.value)) }
  }

  /// Refuses the first parameter that is not in `known`.
  func refuseUnknown(_ known: [String]) throws(GatewayError) {
    let unknown = fields.first { field in !known.contains { $0.isSame(field.name) } }
    guard let unknown else { return }
    let name = unknown.name.quotable
    throw .invalid(name, "unknown_parameter", "Unknown parameter: '\(name)'.")
  }

  /// A parameter's value; nil if it is absent or empty.
  func text(_ name: String) throws(GatewayError) -> String? {
    guard let value = fields.first(where: { $0.name.isSame(name) })?.value, !value.isEmpty else {
      return nil
    }
    guard value.utf8.count <= Self.valueBytesMax, !value.utf8.contains(0) else {
      throw .invalid(name, "invalid_value", "Invalid '\(name)': the value is too long.")
    }
    return value
  }

  func integer(_ name: String, in range: ClosedRange<Int>) throws(GatewayError) -> Int? {
    guard let text = try text(name) else { return nil }
    guard let number = Int(text), range.contains(number) else {
      throw .invalid(
        name,
        "invalid_value",
        "Invalid '\(name)': expected an integer from \(range.lowerBound) to "
          + "\(range.upperBound), but got '\(text.quotable)' instead."
      )
    }
    return number
  }

  func choice(_ name: String, of words: [String]) throws(GatewayError) -> String? {
    guard let text = try text(name) else { return nil }
    guard words.contains(where: text.isSame) else {
      throw .value(of: name, text, allowed: words)
    }
    return text
  }

  /// `true` or `false`.
  func bool(_ name: String) throws(GatewayError) -> Bool {
    try choice(name, of: ["true", "false"])?.isSame("true") ?? false
  }
}

/// Pages of lists, as OpenAI writes them.
enum Page {
  /// `{"object":"list","data":[…],"first_id","last_id","has_more"}`.
  static func json<Item>(
    _ items: [Item],
    id: (Item) -> String,
    hasMore: Bool,
    append: (Item, inout JSONText) -> Void
  ) -> [UInt8] {
    var json = JSONText(capacity: 1024)
    json.raw(#"{"object":"list","data":["#)
    for (index, item) in items.enumerated() {
      if index > 0 { json.raw(",") }
      append(item, &json)
    }
    json.raw(#"],"first_id":"#)
    json.string(items.first.map(id))
    json.raw(#","last_id":"#)
    json.string(items.last.map(id))
    json.raw(hasMore ? #","has_more":true}"# : #","has_more":false}"#)
    return json.bytes
  }
}
