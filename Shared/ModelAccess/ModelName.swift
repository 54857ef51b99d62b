internal import RPC

/// The names that requests may use for models.
enum ModelName {
  /// Bytes of `name@alias`: 64 each.
  static let bytesMax = 129

  /// Throws INVALID_ARGUMENT unless `name` has the length and the characters of `name`, `name@version` or
  /// `name@alias`; which of them it is, the registry finds out.
  ///
  /// What passes is short ASCII: Swift's comparison of strings takes quadratic time for some others.
  static func check(_ name: String) throws(RPCError) {
    let bytes = name.utf8
    let isName =
      (1...bytesMax).contains(bytes.count)
      && bytes.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
          UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "@"):
          true
        default: false
        }
      }
    guard isName else {
      var shown = ""
      for scalar in name.unicodeScalars.prefix(shownScalarsMax) {
        shown += scalar.escaped(asASCII: true)
      }
      throw RPCError(
        .invalidArgument,
        "model \"\(shown)\" of \(bytes.count) bytes is not a model's name: 1 to \(bytesMax) of a-z 0-9 . _ - @"
      )
    }
  }

  private static let shownScalarsMax = 80

  /// The parts of a name that says a version, `name@version`; nil for others.
  static func pinned(_ name: String) -> (name: String, version: UInt32)? {
    guard let at = name.utf8.firstIndex(of: UInt8(ascii: "@")) else { return nil }
    let digits = name.utf8[name.utf8.index(after: at)...]
    guard let first = digits.first, first != UInt8(ascii: "0"),
      digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
      let version = UInt32(Substring(digits))
    else { return nil }
    return (String(name[..<at]), version)
  }
}
