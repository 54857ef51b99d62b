/// What belongs to one stream of a connection and is found by the stream's id.
protocol StreamOwned: AnyObject {
  /// The stream's id.
  var stream: Int32 { get }
}

/// What a connection keeps of each of its streams, by their ids.
///
/// Open addressing with linear probing; the hash is the id itself, as ids of one side lie next to
/// each other. Callbacks come for the same stream several times in a row, hence `last`.
struct StreamTable<Value: StreamOwned> {
  private var slots: [Value?] = []
  private(set) var count = 0
  private var last: Value?

  var isEmpty: Bool { count == 0 }

  /// All of them, in the order of their ids.
  var values: [Value] { slots.compactMap { $0 }.sorted { $0.stream < $1.stream } }

  mutating func removeAll() {
    self = StreamTable()
  }

  subscript(id: Int32) -> Value? {
    mutating get {
      if let last, last.stream == id { return last }
      guard count > 0 else { return nil }
      last = slots[index(of: id)]
      return last
    }
    set {
      guard let newValue else {
        removeValue(forKey: id)
        return
      }
      precondition(newValue.stream == id)
      // At most half full, so that a search ends soon.
      if slots.count < 2 * (count + 1) { grow() }
      let index = index(of: id)
      if slots[index] == nil { count += 1 }
      slots[index] = newValue
      last = newValue
    }
  }

  /// Removes a stream and returns it.
  @discardableResult
  mutating func removeValue(forKey id: Int32) -> Value? {
    guard count > 0 else { return nil }
    var hole = index(of: id)
    guard let removed = slots[hole] else { return nil }
    if last?.stream == id { last = nil }
    count -= 1
    slots[hole] = nil
    // Those behind the hole that a search would no longer reach move into it.
    let mask = slots.count - 1
    var next = (hole + 1) & mask
    while let value = slots[next] {
      let home = Self.hash(value.stream) & mask
      if (next - home) & mask >= (next - hole) & mask {
        slots[hole] = value
        slots[next] = nil
        hole = next
      }
      next = (next + 1) & mask
    }
    return removed
  }

  /// Where the stream is, or would be.
  private func index(of id: Int32) -> Int {
    let mask = slots.count - 1
    var index = Self.hash(id) & mask
    while let value = slots[index], value.stream != id { index = (index + 1) & mask }
    return index
  }

  private static func hash(_ id: Int32) -> Int { Int(id) >> 1 }

  private mutating func grow() {
    let old = slots
    slots = Array(repeating: nil, count: max(8, 2 * old.count))
    for case let value? in old { slots[index(of: value.stream)] = value }
  }
}
