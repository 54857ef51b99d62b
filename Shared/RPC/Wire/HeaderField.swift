/// One HTTP/2 header field.
///
/// Values that are not UTF-8 have been repaired, never refused.
struct HeaderField: Equatable, Sendable {
  let name: String
  let value: String

  init(_ name: String, _ value: String) {
    self.name = name
    self.value = value
  }

  /// What the field counts towards a header list's size (RFC 9113, 6.5.2).
  var listSize: Int { name.utf8.count + value.utf8.count + 32 }
}

extension Array where Element == HeaderField {
  /// The value of the first field of that name.
  func first(_ name: String) -> String? {
    for field in self where field.name == name { return field.value }
    return nil
  }

  /// The header list's size (RFC 9113, 6.5.2).
  var listSize: Int { reduce(0) { $0 + $1.listSize } }
}

extension StringProtocol {
  /// The first bytes of what a peer sent, to quote it; a character may consist of any number.
  func cut(to bytes: Int) -> String {
    utf8.count <= bytes ? String(self) : String(decoding: utf8.prefix(bytes), as: UTF8.self)
  }
}
