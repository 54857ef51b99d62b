/// Names and values that travel with a call, in order; a name may occur more than once.
///
/// Names are kept in lower case and may be asked for in any. A name that ends in `-bin` has bytes as its value, any other has printable
/// ASCII text; what does not fit is refused when the call starts, not here.
public struct Metadata: Sendable, Equatable {
  /// The value of one entry.
  public enum Value: Sendable, Equatable {
    /// Printable ASCII.
    case text(String)
    /// Any bytes, of a name that ends in `-bin`.
    case bytes([UInt8])
  }

  /// One name with one value.
  public struct Entry: Sendable, Equatable {
    /// The name in lower case.
    public let name: String
    /// The value.
    public let value: Value
  }

  /// Every entry in the order of arrival.
  public private(set) var entries: [Entry] = []

  /// Creates metadata with no entry.
  public init() {}

  /// Whether there is no entry.
  public var isEmpty: Bool { entries.isEmpty }

  /// Adds a text value.
  ///
  /// Under a name that ends in `-bin` its UTF-8 bytes are the value.
  public mutating func add(_ value: String, for name: String) {
    let name = name.lowercased()
    if name.hasSuffix("-bin") {
      entries.append(Entry(name: name, value: .bytes(Array(value.utf8))))
    } else {
      entries.append(Entry(name: name, value: .text(value)))
    }
  }

  /// Adds a value of bytes; `name` must end in `-bin`.
  public mutating func add(_ bytes: [UInt8], for name: String) {
    let name = name.lowercased()
    precondition(name.hasSuffix("-bin"), "metadata: bytes under '\(name)', which lacks -bin")
    entries.append(Entry(name: name, value: .bytes(bytes)))
  }

  /// Adds every entry of `other` at the end.
  public mutating func add(_ other: Metadata) {
    entries.append(contentsOf: other.entries)
  }

  /// Removes every entry of that name.
  public mutating func remove(_ name: String) {
    let name = name.lowercased()
    entries.removeAll { $0.name == name }
  }

  /// The first text value of that name.
  public func first(_ name: String) -> String? {
    for entry in entries where entry.name == name {
      if case .text(let text) = entry.value { return text }
    }
    return Self.hasCapitals(name) ? first(name.lowercased()) : nil
  }

  /// Every text value of that name, in order.
  public func all(_ name: String) -> [String] {
    if Self.hasCapitals(name) { return all(name.lowercased()) }
    return entries.compactMap { entry in
      guard entry.name == name, case .text(let text) = entry.value else { return nil }
      return text
    }
  }

  /// The first value of bytes of that name.
  public func firstBytes(_ name: String) -> [UInt8]? {
    for entry in entries where entry.name == name {
      if case .bytes(let bytes) = entry.value { return bytes }
    }
    return Self.hasCapitals(name) ? firstBytes(name.lowercased()) : nil
  }

  /// Every value of bytes of that name, in order.
  public func allBytes(_ name: String) -> [[UInt8]] {
    if Self.hasCapitals(name) { return allBytes(name.lowercased()) }
    return entries.compactMap { entry in
      guard entry.name == name, case .bytes(let bytes) = entry.value else { return nil }
      return bytes
    }
  }

  /// Adds a text value that came under a name in lower case, which HTTP/2 sees to.
  mutating func addReceived(_ value: String, for name: String) {
    entries.append(Entry(name: name, value: .text(value)))
  }

  /// Whether a name is not the one that entries have: seldom, so that nothing is converted for it.
  private static func hasCapitals(_ name: String) -> Bool {
    name.utf8.contains { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) }
  }

  /// Whether values of that name are bytes.
  static func isBinary(_ name: String) -> Bool {
    let utf8 = name.utf8
    return utf8.last == UInt8(ascii: "n") && utf8.count >= 4
      && utf8.suffix(4).elementsEqual("-bin".utf8)
  }
}
