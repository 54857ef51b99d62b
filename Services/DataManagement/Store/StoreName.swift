/// What names in the store look like: of models, aliases, datasets and splits.
package enum StoreName {
  /// Bytes of a name.
  package static let bytesMax = 64

  /// Whether the text is 1 to 64 of `a-z 0-9 . _ -`, the first a letter or digit.
  package static func isName(_ text: String) -> Bool {
    guard (1...bytesMax).contains(text.utf8.count), let first = text.utf8.first else {
      return false
    }
    let isFirstAllowed = isLowercase(first) || isDigit(first)
    return isFirstAllowed
      && text.utf8.allSatisfy { byte in
        isLowercase(byte) || isDigit(byte)
          || [UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-")].contains(byte)
      }
  }

  /// Whether the text is digits only.
  package static func isNumber(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy(isDigit)
  }

  private static func isLowercase(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  /// The text in quotes, cut and with control characters escaped: it comes from outside and goes into logs.
  package static func quoted(_ text: String) -> String {
    let shownMax = 80
    var shown = ""
    for scalar in text.unicodeScalars.prefix(shownMax) { shown += scalar.escaped(asASCII: false) }
    return "\"\(shown)\(text.unicodeScalars.count > shownMax ? "…" : "")\""
  }
}
