package import Store

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
  package static let nameBytesMax = StoreName.bytesMax

  /// The model's name.
  package let name: String
  /// Which version of it.
  package let selector: Selector

  /// Parses a reference; throws `invalidArgument` for text that is not one.
  package init(parsing text: String) throws(DataError) {
    let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
    let name = String(parts[0])
    try Self.validateName(name)
    self.name = name
    guard parts.count == 2 else {
      selector = .standard
      return
    }
    let suffix = String(parts[1])
    if StoreName.isNumber(suffix) {
      guard let version = UInt32(suffix), version > 0 else {
        throw DataError(
          .invalidArgument,
          "model \(StoreName.quoted(text)): versions count from 1 to \(UInt32.max)"
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
  package static func validateName(_ name: String) throws(DataError) {
    guard StoreName.isName(name) else {
      throw DataError(
        .invalidArgument,
        "model name \(StoreName.quoted(name)) is not 1 to \(nameBytesMax) of a-z 0-9 . _ -, "
          + "starting with a letter or digit"
      )
    }
  }

  /// Throws `invalidArgument` unless the text is an alias: as a name, but not a number, which would read as
  /// a version.
  package static func validateAlias(_ alias: String) throws(DataError) {
    guard StoreName.isName(alias), !StoreName.isNumber(alias) else {
      throw DataError(
        .invalidArgument,
        "alias \(StoreName.quoted(alias)) is not 1 to \(nameBytesMax) of a-z 0-9 . _ -, "
          + "starting with a letter or digit, and not a number"
      )
    }
  }
}
