/// Where the value of an option came from, in rising precedence.
package enum OptionSource: Sendable, Hashable, CustomStringConvertible {
  /// The option's declared default.
  case `default`
  /// The YAML file.
  case file(path: String, line: Int)
  /// An environment variable.
  case environment(name: String)
  /// A command line flag.
  case flag(name: String)

  /// The source as errors name it.
  package var description: String {
    switch self {
    case .default: "the default"
    case .file(let path, let line): "\(path.escapedForOneLine()), line \(line)"
    case .environment(let name): "environment variable \(name)"
    case .flag(let name): "flag \(name)"
    }
  }

  /// The kind of source, for comments in a printed configuration.
  var kind: String {
    switch self {
    case .default: "default"
    case .file: "file"
    case .environment: "environment"
    case .flag: "flag"
    }
  }
}

/// The effective configuration of a service: every declared option has a value.
package struct Configuration: Sendable {
  /// The options, in the order of their declaration.
  package let options: [any DeclaredOption]
  private let values: [String: any OptionValue]
  private let sources: [String: OptionSource]

  init(
    options: [any DeclaredOption],
    values: [String: any OptionValue],
    sources: [String: OptionSource]
  ) {
    self.options = options
    self.values = values
    self.sources = sources
  }

  /// The value of `option`, which must be among the declared ones.
  package subscript<Value>(option: ServiceOption<Value>) -> Value {
    guard let value = values[option.name] as? Value else {
      preconditionFailure("option '\(option.name)' is not declared for this service")
    }
    return value
  }

  /// Where the value of `option` came from.
  package func source(of option: some DeclaredOption) -> OptionSource {
    sources[option.name] ?? .default
  }

  /// The error for a value that turned out wrong after loading (such as a folder that does not
  /// exist), in the same words as the loader's; `predicate` is such as `is not a folder`.
  package func error(_ option: some DeclaredOption, _ predicate: String) -> ServiceKitError {
    ConfigurationSchema.error(
      option,
      source: source(of: option),
      text: values[option.name]?.optionText ?? "",
      predicate
    )
  }

  /// The configuration as YAML that a service reads back; secrets are masked.
  package func yaml() -> String {
    var text = ""
    var open: [Substring] = []
    for option in options.sorted(by: { $0.name < $1.name }) {
      let path = option.name.split(separator: ".")
      let section = path.dropLast()
      let shared = zip(open, section).prefix { $0 == $1 }.count
      for (depth, key) in section.enumerated().dropFirst(shared) {
        text += String(repeating: "  ", count: depth) + "\(key):\n"
      }
      open = Array(section)
      text += String(repeating: "  ", count: section.count)
      text += "\(path[path.count - 1]): \(rendered(option))"
      text += "  # \((sources[option.name] ?? .default).kind)\n"
    }
    return text
  }

  private func rendered(_ option: any DeclaredOption) -> String {
    guard let value = values[option.name] else { return "\"\"" }
    let items = value.optionItems.map { item in
      if option.isSecret { return item.isEmpty ? "\"\"" : "\"***\"" }
      return option.isQuoted || item.isEmpty ? item.quotedForYAML() : item
    }
    return option.isList ? "[\(items.joined(separator: ", "))]" : items[0]
  }
}

extension String {
  /// The text as a double-quoted YAML scalar.
  func quotedForYAML() -> String {
    "\"" + replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").escapedControls() + "\""
  }

  /// The text on one line, cut to `limit` characters.
  func escapedForOneLine(limit: Int = 120) -> String {
    let cut = count > limit ? String(prefix(limit)) + "…" : self
    return cut.escapedControls()
  }

  /// The text with control characters and line separators as `\n`, `\t` or `\uXXXX`.
  func escapedControls() -> String {
    var result = ""
    for scalar in unicodeScalars {
      switch scalar.value {
      case 0x0a: result += "\\n"
      case 0x0d: result += "\\r"
      case 0x09: result += "\\t"
      case 0...0x1f, 0x7f...0x9f, 0x2028, 0x2029, 0xfeff:
        let hex = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
