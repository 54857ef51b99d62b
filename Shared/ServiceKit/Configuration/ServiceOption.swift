/// An option of a service: its name, type, default and meaning.
///
/// Declared once, listed by `--help`, set by any source, read typed:
/// ```swift
/// enum TokenizerOptions {
///   static let models = ServiceOption(
///     "models.directory", default: "models", help: "Folder of the model folders.")
///   static let batch = ServiceOption(
///     "batch.max", default: 8, in: 1...256, unit: "texts", help: "Most texts in one request.")
///   static let all: [any DeclaredOption] = [models, batch]
/// }
/// let folder = configuration[TokenizerOptions.models]  // String
/// ```
/// The option `batch.max` is set by the flag `--batch.max`, the environment variable
/// `LLMOS_BATCH_MAX`, or the YAML key `max` inside `batch`.
package struct ServiceOption<Value: OptionValue>: DeclaredOption {
  /// The name: lower-case words of letters and digits, joined by dots and dashes.
  package let name: String
  /// The value when no source sets it; without one the option must be set.
  package let defaultValue: Value?
  /// The unit of a plain number, shown by `--help`.
  package let unit: String?
  /// One sentence for `--help`.
  package let help: String
  /// Whether the value is kept out of printed configurations, errors and logs.
  package let isSecret: Bool
  /// The allowed values in words, for `--help`.
  package let allowed: String?
  /// What is wrong with a value, as a predicate such as `is not a folder`, or `nil`.
  private let problem: @Sendable (Value) -> String?

  /// Declares an option; `problem` says what is wrong with a value, as a predicate such as
  /// `is not a folder`, and sees a value of every source but the default.
  package init(
    _ name: String,
    default defaultValue: Value,
    unit: String? = nil,
    help: String,
    secret: Bool = false,
    allowed: String? = nil,
    problem: @escaping @Sendable (Value) -> String? = { _ in nil }
  ) {
    self.init(name, defaultValue, unit, help, secret, allowed, problem)
  }

  /// Declares an option whose value lies in `range`.
  package init(
    _ name: String,
    default defaultValue: Value,
    in range: ClosedRange<Value>,
    unit: String? = nil,
    help: String
  ) where Value: Comparable {
    precondition(range.contains(defaultValue), "option '\(name)': the default is out of range")
    let text = "\(range.lowerBound.optionText)...\(range.upperBound.optionText)"
    self.init(
      name,
      defaultValue,
      unit,
      help,
      false,
      text,
      { range.contains($0) ? nil : "is outside \(text)" }
    )
  }

  /// Declares an option that has no default and must be set.
  package init(
    required name: String,
    unit: String? = nil,
    help: String,
    secret: Bool = false,
    allowed: String? = nil,
    problem: @escaping @Sendable (Value) -> String? = { _ in nil }
  ) {
    self.init(name, nil, unit, help, secret, allowed, problem)
  }

  private init(
    _ name: String,
    _ defaultValue: Value?,
    _ unit: String?,
    _ help: String,
    _ isSecret: Bool,
    _ allowed: String?,
    _ problem: @escaping @Sendable (Value) -> String?
  ) {
    precondition(Self.isValid(name: name), "option name '\(name)' is malformed")
    self.name = name
    self.defaultValue = defaultValue
    self.unit = unit
    self.help = help
    self.isSecret = isSecret
    self.allowed = allowed
    self.problem = problem
  }

  package var type: String { Value.optionType }
  package var isList: Bool { Value.isList }
  package var isSwitch: Bool { Value.isSwitch }
  package var isQuoted: Bool { Value.isQuoted }
  package var defaultItem: (any OptionValue)? { defaultValue }

  package func parse(_ raw: RawOptionValue) throws(ServiceKitError) -> any OptionValue {
    let value: Value
    switch raw {
    case .text(let text): value = try Value(optionText: text)
    case .items(let items): value = try Value(optionItems: items)
    }
    if let problem = problem(value) { throw .badValue(problem) }
    return value
  }

  private static func isValid(name: String) -> Bool {
    name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { part in
      part.split(separator: "-", omittingEmptySubsequences: false).allSatisfy { word in
        !word.isEmpty
          && word.utf8.allSatisfy { (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) }
      }
    }
  }
}

/// A ``ServiceOption`` of any type.
package protocol DeclaredOption: Sendable {
  /// The dotted name.
  var name: String { get }
  /// The type's name for `--help`.
  var type: String { get }
  /// The unit of a plain number.
  var unit: String? { get }
  /// The allowed values in words.
  var allowed: String? { get }
  /// One sentence for `--help`.
  var help: String { get }
  /// Whether the value is never shown.
  var isSecret: Bool { get }
  /// Whether the value is a list.
  var isList: Bool { get }
  /// Whether the flag may stand alone.
  var isSwitch: Bool { get }
  /// Whether the value is printed as a quoted string.
  var isQuoted: Bool { get }
  /// The default, or `nil` if the option must be set.
  var defaultItem: (any OptionValue)? { get }
  /// Reads and checks a value; the error's message is a predicate.
  func parse(_ raw: RawOptionValue) throws(ServiceKitError) -> any OptionValue
}

extension DeclaredOption {
  /// The environment variable that sets the option: `LLMOS_` and the name in upper case with
  /// dots and dashes as underscores.
  package var environmentName: String {
    "LLMOS_"
      + String(name.map { $0 == "." || $0 == "-" ? "_" : Character($0.uppercased()) })
  }
}

/// A value as a source spells it.
package enum RawOptionValue: Sendable, Equatable {
  /// A flag's argument, an environment variable or a YAML scalar.
  case text(String)
  /// A YAML sequence, or a list's flag given several times.
  case items([String])
}
