/// A type that the value of an option can have.
///
/// Values arrive as text from a flag, an environment variable or a YAML scalar, and every source
/// follows the same rules. Conforming types: `String`, `Int`, `Double`, `Bool`, `Duration`,
/// ``ByteCount``, arrays and optionals of these, and `String` enums (`CaseIterable`).
package protocol OptionValue: Sendable {
  /// The name that `--help` shows, such as `integer`.
  static var optionType: String { get }
  /// Whether the value is a list, which a YAML sequence, commas or repeated flags spell.
  static var isList: Bool { get }
  /// Whether a flag may stand alone and then means `true`.
  static var isSwitch: Bool { get }
  /// Whether `--print-config` writes the value as a quoted YAML string.
  static var isQuoted: Bool { get }

  /// Reads the value; the error's message is a predicate, such as `is not an integer`.
  init(optionText text: String) throws(ServiceKitError)
  /// Reads a value given as a list of texts; refused by types that are not lists.
  init(optionItems items: [String]) throws(ServiceKitError)
  /// The value as text that `init(optionText:)` reads back.
  var optionText: String { get }
  /// The value's items, of which a list may have any number and another type has one.
  var optionItems: [String] { get }
}

extension OptionValue {
  package static var isList: Bool { false }
  package static var isSwitch: Bool { false }
  package static var isQuoted: Bool { false }
  package init(optionItems items: [String]) throws(ServiceKitError) {
    throw .badValue("is a list, not \(Self.optionType.withArticle)")
  }
  package var optionItems: [String] { [optionText] }
}

extension ServiceKitError {
  static func badValue(_ predicate: String) -> ServiceKitError {
    ServiceKitError(.invalidConfiguration, predicate)
  }
}

extension String {
  var withArticle: String {
    guard let first, "aeiou".contains(first) else { return "a \(self)" }
    return "an \(self)"
  }
}

extension String: OptionValue {
  package static var optionType: String { "string" }
  package static var isQuoted: Bool { true }
  package init(optionText text: String) throws(ServiceKitError) {
    guard !text.utf8.contains(0) else { throw .badValue("contains a NUL character") }
    self = text
  }
  package var optionText: String { self }
}

extension Int: OptionValue {
  package static var optionType: String { "integer" }
  package init(optionText text: String) throws(ServiceKitError) {
    guard let value = Int(text) else { throw .badValue("is not an integer") }
    self = value
  }
  package var optionText: String { description }
}

extension Double: OptionValue {
  package static var optionType: String { "number" }
  package init(optionText text: String) throws(ServiceKitError) {
    guard text.utf8.allSatisfy({ "0123456789+-.eE".utf8.contains($0) }),
      let value = Double(text), value.isFinite
    else { throw .badValue("is not a number") }
    self = value
  }
  package var optionText: String { description }
}

extension Bool: OptionValue {
  package static var optionType: String { "boolean" }
  package static var isSwitch: Bool { true }
  package init(optionText text: String) throws(ServiceKitError) {
    switch text {
    case "true", "yes", "on", "1": self = true
    case "false", "no", "off", "0": self = false
    default: throw .badValue("is not a boolean (true or false)")
    }
  }
  package var optionText: String { self ? "true" : "false" }
}

extension Array: OptionValue where Element: OptionValue {
  package static var optionType: String { "list of \(Element.optionType)s" }
  package static var isList: Bool { true }
  package static var isQuoted: Bool { Element.isQuoted }
  /// Reads items separated by commas; blanks around an item are dropped, an empty text is no item.
  package init(optionText text: String) throws(ServiceKitError) {
    let items = text.split(separator: ",", omittingEmptySubsequences: false).map {
      String($0.trimmingBlanks)
    }
    try self.init(optionItems: items == [""] ? [] : items)
  }
  package init(optionItems items: [String]) throws(ServiceKitError) {
    self = []
    for item in items {
      guard !item.isEmpty else { throw .badValue("contains an empty item") }
      append(try Element(optionText: item))
    }
  }
  package var optionText: String { map(\.optionText).joined(separator: ",") }
  package var optionItems: [String] { map(\.optionText) }
}

/// An option that may be left unset: the empty text is `nil`.
extension Optional: OptionValue where Wrapped: OptionValue {
  package static var optionType: String { Wrapped.optionType }
  package static var isQuoted: Bool { Wrapped.isQuoted }
  package init(optionText text: String) throws(ServiceKitError) {
    self = text.isEmpty ? nil : try Wrapped(optionText: text)
  }
  package var optionText: String { self?.optionText ?? "" }
}

extension OptionValue where Self: CaseIterable & RawRepresentable, RawValue == String {
  package static var optionType: String { allCases.map(\.rawValue).joined(separator: "|") }
  package init(optionText text: String) throws(ServiceKitError) {
    guard let value = Self(rawValue: text) else {
      let names = Self.allCases.map(\.rawValue)
      throw .badValue("is not one of \(names.joined(separator: ", "))")
    }
    self = value
  }
  package var optionText: String { rawValue }
}

extension Substring {
  var trimmingBlanks: Substring {
    var rest = self
    while let first = rest.first, first == " " || first == "\t" { rest.removeFirst() }
    while let last = rest.last, last == " " || last == "\t" { rest.removeLast() }
    return rest
  }
}
