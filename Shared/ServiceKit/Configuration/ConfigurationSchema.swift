/// The options of a program, and the rules by which sources set them.
///
/// Sources in rising precedence: declared defaults, one YAML file (`--config FILE` or
/// `LLMOS_CONFIG`), environment variables `LLMOS_…`, command line flags. An option that nobody
/// declared and a value that is not allowed are refused in every source, with one line that names
/// the option and the source.
package struct ConfigurationSchema: Sendable {
  /// Variables of the whole suite, which every program accepts and none reads as an option:
  /// `LLMOS_CONFIG` (the configuration file), `LLMOS_HOME` (the suite's data folder),
  /// `LLMOS_BUILD`, `LLMOS_PEERS` and `LLMOS_SHARED` (what the tests run and compare with).
  package static let suiteVariables: Set<String> = [
    "LLMOS_BUILD", "LLMOS_CONFIG", "LLMOS_HOME", "LLMOS_PEERS", "LLMOS_SHARED",
  ]
  /// Most arguments on a command line.
  package static let argumentsMax = 1024

  /// What a command line asks for.
  package enum Request: Sendable {
    /// Run with this configuration.
    case run(Configuration)
    /// Print this text to stdout and end with success.
    case print(String)
    /// Ask the service that runs with this configuration whether it is ready.
    case healthcheck(Configuration)
  }

  /// The program's name, such as `llmos-tokenizer`.
  package let program: String
  /// The version that `--version` prints.
  package let version: String
  /// One sentence on what the program does.
  package let summary: String
  /// The options in the order of their declaration.
  package let options: [any DeclaredOption]
  private let byName: [String: any DeclaredOption]
  private let byEnvironmentName: [String: any DeclaredOption]

  /// Creates a schema; options must not clash in name, variable or YAML path.
  package init(program: String, version: String, summary: String, options: [any DeclaredOption]) {
    self.program = program
    self.version = version
    self.summary = summary
    self.options = options
    var byName: [String: any DeclaredOption] = [:]
    var byEnvironmentName: [String: any DeclaredOption] = [:]
    for option in options {
      precondition(
        byName.updateValue(option, forKey: option.name) == nil,
        "option '\(option.name)' is declared twice"
      )
      precondition(
        byEnvironmentName.updateValue(option, forKey: option.environmentName) == nil
          && !Self.suiteVariables.contains(option.environmentName),
        "option '\(option.name)': \(option.environmentName) is taken"
      )
      precondition(
        !["config", "healthcheck", "help", "version", "print-config"].contains(option.name),
        "option '\(option.name)' is reserved"
      )
    }
    for option in options {
      var prefix = ""
      for part in option.name.split(separator: ".").dropLast() {
        prefix += prefix.isEmpty ? part : "." + part
        precondition(byName[prefix] == nil, "option '\(prefix)' is a section of '\(option.name)'")
      }
    }
    self.byName = byName
    self.byEnvironmentName = byEnvironmentName
  }

  /// Loads the configuration for a command line and environment.
  ///
  /// - Parameters:
  ///   - arguments: The arguments after the program's name.
  ///   - environment: The environment variables.
  /// - Returns: The configuration, or the text that `--help`, `--version` or `--print-config`
  ///   asks for.
  /// - Throws: `ServiceKitError` with code `invalidConfiguration` and a message of one line.
  package func load(
    arguments: [String],
    environment: [String: String]
  ) throws(ServiceKitError) -> Request {
    let line = try parse(arguments: arguments)
    if line.help { return .print(help()) }
    if line.version { return .print("\(program) \(version)\n") }

    var loader = Loader()
    let variables = try settings(environment: environment)
    if let path = line.configurationFile ?? environment["LLMOS_CONFIG"], !path.isEmpty {
      var lines: [String: Int] = [:]
      for setting in try ConfigurationFile.read(path) {
        guard let option = byName[setting.name] else {
          throw unknown(setting.name, spelled: setting.name, source: setting.source)
        }
        if case .file(_, let line) = setting.source,
          let first = lines.updateValue(line, forKey: setting.name)
        {
          throw ServiceKitError(
            .invalidConfiguration,
            "option '\(setting.name)' (\(setting.source)) is given twice, first on line \(first)"
          )
        }
        try loader.set(option, setting)
      }
    }
    for setting in variables + line.settings {
      guard let option = byName[setting.name] else { continue }
      try loader.set(option, setting)
    }
    for option in options where loader.values[option.name] == nil {
      guard let value = option.defaultItem else {
        throw ServiceKitError(
          .invalidConfiguration,
          "option '\(option.name)' is required: set --\(option.name) or \(option.environmentName)"
        )
      }
      loader.values[option.name] = value
    }
    let configuration = Configuration(
      options: options,
      values: loader.values,
      sources: loader.sources
    )
    if line.printConfiguration { return .print(configuration.yaml()) }
    return line.healthcheck ? .healthcheck(configuration) : .run(configuration)
  }

  private struct Loader {
    var values: [String: any OptionValue] = [:]
    var sources: [String: OptionSource] = [:]

    mutating func set(
      _ option: any DeclaredOption,
      _ setting: RawSetting
    ) throws(ServiceKitError) {
      do {
        values[option.name] = try option.parse(setting.value)
        sources[option.name] = setting.source
      } catch {
        let text =
          switch setting.value {
          case .text(let text): text
          case .items(let items): items.joined(separator: ",")
          }
        throw ConfigurationSchema.error(
          option,
          source: setting.source,
          text: text,
          error.message
        )
      }
    }
  }

  // MARK: - Environment

  private func settings(environment: [String: String]) throws(ServiceKitError) -> [RawSetting] {
    var settings: [RawSetting] = []
    for (name, value) in environment.sorted(by: { $0.key < $1.key })
    where name.hasPrefix("LLMOS_") && !Self.suiteVariables.contains(name) {
      let source = OptionSource.environment(name: name)
      guard let option = byEnvironmentName[name] else {
        let guess = nearest(to: name, among: byEnvironmentName.keys)
        throw ServiceKitError(
          .invalidConfiguration,
          "unknown \(source.description.escapedForOneLine())\(guess)"
        )
      }
      settings.append(RawSetting(name: option.name, value: .text(value), source: source))
    }
    return settings
  }

  // MARK: - Command line

  private struct CommandLine {
    var settings: [RawSetting] = []
    var configurationFile: String?
    var help = false
    var version = false
    var printConfiguration = false
    var healthcheck = false
  }

  private func parse(arguments: [String]) throws(ServiceKitError) -> CommandLine {
    guard arguments.count <= Self.argumentsMax else {
      throw ServiceKitError(.invalidConfiguration, "more than \(Self.argumentsMax) arguments")
    }
    var line = CommandLine()
    var lists: [String: Int] = [:]
    var seen: Set<String> = []
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      switch argument {
      case "--help", "-h": line.help = true
      case "--version": line.version = true
      case "--print-config": line.printConfiguration = true
      case "--healthcheck": line.healthcheck = true
      default:
        let (name, value) = try split(argument, &rest)
        if name == "config" {
          guard line.configurationFile == nil else { throw twice(name) }
          line.configurationFile = value
          continue
        }
        guard let option = byName[name] else { continue }
        if option.isList, let index = lists[name],
          case .items(let items) = line.settings[index].value
        {
          line.settings[index].value = .items(items + (try listItems(value)))
          continue
        }
        guard seen.insert(name).inserted else { throw twice(name) }
        if option.isList { lists[name] = line.settings.count }
        line.settings.append(
          RawSetting(
            name: name,
            value: option.isList ? .items(try listItems(value)) : .text(value),
            source: .flag(name: "--\(name)")
          )
        )
      }
    }
    return line
  }

  private func listItems(_ text: String) throws(ServiceKitError) -> [String] {
    try [String](optionText: text)
  }

  private func twice(_ name: String) -> ServiceKitError {
    ServiceKitError(.invalidConfiguration, "flag --\(name) is given twice")
  }

  /// Splits `--name=value`, or takes the value from the next argument.
  private func split(
    _ argument: String,
    _ rest: inout ArraySlice<String>
  ) throws(ServiceKitError) -> (name: String, value: String) {
    guard argument.hasPrefix("--"), argument.utf8.count > 2 else {
      throw ServiceKitError(
        .invalidConfiguration,
        "unexpected argument '\(argument.escapedForOneLine())' (see --help)"
      )
    }
    let body = argument.dropFirst(2)
    let name = String(body.prefix { $0 != "=" })
    guard name == "config" || byName[name] != nil else {
      throw unknown(name, spelled: "--\(name)", source: .flag(name: "--\(name)"))
    }
    if name.utf8.count < body.utf8.count {
      return (name, String(body.dropFirst(name.count + 1)))
    }
    if byName[name]?.isSwitch == true {
      // A switch takes the next argument only if it is a value; no argument stands by itself.
      guard let next = rest.first, !next.hasPrefix("-") else { return (name, "true") }
    }
    guard let value = rest.popFirst(), !value.hasPrefix("--") else {
      throw ServiceKitError(.invalidConfiguration, "flag --\(name) needs a value")
    }
    return (name, value)
  }

  // MARK: - Errors

  static func error(
    _ option: some DeclaredOption,
    source: OptionSource,
    text: String,
    _ predicate: String
  ) -> ServiceKitError {
    let value = option.isSecret ? "the value" : "'\(text.escapedForOneLine())'"
    return ServiceKitError(
      .invalidConfiguration,
      "option '\(option.name)' (\(source)): \(value) \(predicate)"
    )
  }

  private func unknown(
    _ name: String,
    spelled: String,
    source: OptionSource
  ) -> ServiceKitError {
    let guess = nearest(to: name, among: byName.keys, prefix: spelled.hasPrefix("--") ? "--" : "")
    switch source {
    case .flag:
      return ServiceKitError(
        .invalidConfiguration,
        "unknown flag \(spelled.escapedForOneLine())\(guess)"
      )
    default:
      return ServiceKitError(
        .invalidConfiguration,
        "unknown option '\(spelled.escapedForOneLine())' (\(source))\(guess)"
      )
    }
  }

  /// `; did you mean …?` for the nearest name, if one is near.
  private func nearest(
    to name: String,
    among names: some Collection<String>,
    prefix: String = ""
  ) -> String {
    guard name.utf8.count <= 64 else { return "" }
    let best = names.map { (distance: editDistance(name, $0), name: $0) }
      .min { ($0.distance, $0.name) < ($1.distance, $1.name) }
    guard let best, best.distance <= max(2, name.count / 4) else { return "" }
    return "; did you mean \(prefix)\(best.name)?"
  }
}

/// Levenshtein distance in time and space of the product of the lengths, by the usual row update.
func editDistance(_ a: String, _ b: String) -> Int {
  let a = Array(a.utf8)
  let b = Array(b.utf8)
  var row = Array(0...b.count)
  for i in a.indices {
    var diagonal = row[0]
    row[0] = i + 1
    for j in b.indices {
      let substitution = diagonal + (a[i] == b[j] ? 0 : 1)
      diagonal = row[j + 1]
      row[j + 1] = min(substitution, diagonal + 1, row[j] + 1)
    }
  }
  return row[b.count]
}
