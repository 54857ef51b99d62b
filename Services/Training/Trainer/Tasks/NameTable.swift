/// Names in the order of their first use, compared by their bytes.
///
/// To Swift's `==` two spellings of "é" are one name; to the data they are two.
struct NameTable: Sendable {
  private(set) var names: [String] = []
  private var indices: [[UInt8]: Int] = [:]

  init() {}

  /// A table of `names`, which are all different.
  init(_ names: [String]) { for name in names { _ = index(of: name) } }

  /// The index of `name`, which is added if it is new.
  mutating func index(of name: String) -> Int {
    let key = Array(name.utf8)
    if let index = indices[key] { return index }
    indices[key] = names.count
    names.append(name)
    return names.count - 1
  }

  /// The index of `name`; nil if it is not there.
  func find(_ name: String) -> Int? { indices[Array(name.utf8)] }

  /// The names in the order of their bytes, which is the order of Python's `sorted`.
  var sorted: [String] {
    names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }
}
