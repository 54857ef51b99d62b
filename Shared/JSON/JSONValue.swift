/// A parsed JSON value.
package enum JSONValue: Sendable {
  case null
  case boolean(Bool)
  /// A number written without fraction and exponent that fits.
  case integer(Int)
  /// A number written so that fits here alone.
  case unsigned(UInt64)
  /// Any other number; finite.
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object(JSONObject)

  /// What kind of value it is, for messages.
  package var kind: String {
    switch self {
    case .null: "null"
    case .boolean: "a boolean"
    case .integer, .unsigned, .number: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }

  /// The value itself where it is short, else its kind, for messages.
  package var summary: String {
    switch self {
    case .integer(let value): "\(value)"
    case .unsigned(let value): "\(value)"
    case .number(let value): "\(value)"
    case .string(let text): "\"\(text.excerpt(40))\""
    case .null, .boolean, .array, .object: kind
    }
  }

  /// Whether it is null.
  package var isNull: Bool { if case .null = self { true } else { false } }
}

/// The members of a JSON object in the order of the text.
///
/// Keys are compared by their UTF-8, and may be hostile.
package struct JSONObject: Sendable {
  /// The members; no key is there twice.
  package private(set) var members: [(key: String, value: JSONValue)] = []
  /// Open addressing with linear probing: a member's index + 1, 0 where free; empty while there
  /// are few members.
  private var slots: [UInt32] = []

  /// Objects up to this size are searched from the front.
  private static let scannedMembersMax = 8

  /// Creates an object without members.
  package init() {}

  /// How many members it has.
  package var count: Int { members.count }

  /// The value of `key`; nil if there is no such member or it is null.
  package subscript(key: String) -> JSONValue? {
    guard let index = index(of: key), !members[index].value.isNull else { return nil }
    return members[index].value
  }

  /// Adds a member in the end; false if there is one of this key, which then stays.
  package mutating func append(_ key: String, _ value: JSONValue) -> Bool {
    guard index(of: key) == nil else { return false }
    members.append((key, value))
    if members.count > Self.scannedMembersMax {
      if 2 * members.count > slots.count {
        rebuild()
      } else {
        insert(members.count - 1)
      }
    }
    return true
  }

  private func index(of key: String) -> Int? {
    guard !slots.isEmpty else { return members.firstIndex { $0.key.isSame(key) } }
    var slot = Self.slot(key, slots.count)
    while slots[slot] != 0 {
      let index = Int(slots[slot]) - 1
      if members[index].key.isSame(key) { return index }
      slot = (slot + 1) & (slots.count - 1)
    }
    return nil
  }

  private mutating func insert(_ index: Int) {
    var slot = Self.slot(members[index].key, slots.count)
    while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
    slots[slot] = UInt32(index + 1)
  }

  private mutating func rebuild() {
    slots = [UInt32](repeating: 0, count: max(4 * Self.scannedMembersMax, 2 * slots.count))
    for index in members.indices { insert(index) }
  }

  /// Swift's hasher is seeded by the process: no text can be made of colliding keys.
  private static func slot(_ key: String, _ slotCount: Int) -> Int {
    var hasher = Hasher()
    let isHashed: Void? = key.utf8.withContiguousStorageIfAvailable {
      hasher.combine(bytes: UnsafeRawBufferPointer($0))
    }
    if isHashed == nil { for byte in key.utf8 { hasher.combine(byte) } }
    return hasher.finalize() & (slotCount - 1)
  }
}
