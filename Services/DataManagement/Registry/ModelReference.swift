/// What a request calls a model: `name`, `name@version` or `name@alias`.
package struct ModelReference: Sendable, Equatable {
  /// Which version of the model is meant.
  package enum Selector: Sendable, Equatable {
    /// The alias `production` and, without one, the newest version.
    case standard
    /// One version, by number.
    case version(UInt32)
    /// The version an alias points at.
    case alias(String)
  }

  /// The alias a bare name stands for.
  package static let productionAlias = "production"
  /// Bytes of a name and of an alias.
  package static let nameBytesMax = 64

  /// The model's name.
  package let name: String
  /// Which version of it.
  package let selector: Selector

  /// Parses a reference; throws `invalidArgument` for text that is not one.
  package init(parsing text: String) throws(RegistryError) {
    let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
    let name = String(parts[0])
    try Self.validateName(name)
    self.name = name
    guard parts.count == 2 else {
      selector = .standard
      return
    }
    let suffix = String(parts[1])
    if Self.isNumber(suffix) {
      guard let version = UInt32(suffix), version > 0 else {
        throw RegistryError(
          .invalidArgument,
          "model \(Self.quoted(text)): versions count from 1 to \(UInt32.max)"
        )
      }
      selector = .version(version)
    } else {
      try Self.validateAlias(suffix)
      selector = .alias(suffix)
    }
  }

  /// Throws `invalidArgument` unless the text is a model's name: 1 to 64 of `a-z 0-9 . _ -`, the first a
  /// letter or digit.
  package static func validateName(_ name: String) throws(RegistryError) {
    guard isName(name) else {
      throw RegistryError(
        .invalidArgument,
        "model name \(quoted(name)) is not 1 to \(nameBytesMax) of a-z 0-9 . _ -, "
          + "starting with a letter or digit"
      )
    }
  }

  /// Throws `invalidArgument` unless the text is an alias: as a name, but not a number, which would read as
  /// a version.
  package static func validateAlias(_ alias: String) throws(RegistryError) {
    guard isName(alias), !isNumber(alias) else {
      throw RegistryError(
        .invalidArgument,
        "alias \(quoted(alias)) is not 1 to \(nameBytesMax) of a-z 0-9 . _ -, "
          + "starting with a letter or digit, and not a number"
      )
    }
  }

  private static func isName(_ text: String) -> Bool {
    guard (1...nameBytesMax).contains(text.utf8.count), let first = text.utf8.first else {
      return false
    }
    let isFirstAllowed = isLowercase(first) || isDigit(first)
    return isFirstAllowed
      && text.utf8.allSatisfy { byte in
        isLowercase(byte) || isDigit(byte)
          || [UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-")].contains(byte)
      }
  }

  private static func isNumber(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy(isDigit)
  }

  private static func isLowercase(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  /// The text in quotes, cut and with control characters escaped: it comes from outside and goes into logs.
  static func quoted(_ text: String) -> String {
    let shownMax = 80
    var shown = ""
    for scalar in text.unicodeScalars.prefix(shownMax) { shown += scalar.escaped(asASCII: false) }
    return "\"\(shown)\(text.unicodeScalars.count > shownMax ? "…" : "")\""
  }
}
