extension ConfigurationSchema {
  /// The text of `--help`: usage, the options with type, default and unit, and the sources.
  package func help() -> String {
    var text = """
      \(program) \(version): \(summary)

      Usage: \(program) [--config FILE] [--OPTION VALUE]...

        --config FILE    read options from a YAML file
        --print-config   print the effective configuration as YAML (secrets masked) and end
        --healthcheck    ask the service that runs with these options whether it is ready; 0 says yes
        --version        print the version and end
        --help, -h       print this text and end

      Options:

      """
    for option in options {
      text += "  --\(option.name) \(option.isSwitch ? "[BOOLEAN]" : placeholder(option))\n"
      text += "      \(option.help)\n"
      text += "      \(facts(option))\n"
    }
    let variables = Self.suiteVariables.sorted().joined(separator: ", ")
    text += """

      Sources, the later one wins: defaults, the YAML file, environment variables, flags. An option
      a.b-c is set by the flag --a.b-c VALUE (or --a.b-c=VALUE), the environment variable
      LLMOS_A_B_C, or the key b-c inside a in the YAML file. Lists are separated by commas.
      An unknown option or a bad value ends the start with exit code 2. These variables belong to
      the whole suite: \(variables).

      """
    return text
  }

  private func placeholder(_ option: any DeclaredOption) -> String {
    if option.isList { return "LIST" }
    return option.type.contains("|") ? "NAME" : option.type.uppercased().replacing(" ", with: "-")
  }

  private func facts(_ option: any DeclaredOption) -> String {
    var facts = [option.type]
    if let unit = option.unit { facts[0] += ", in \(unit)" }
    if let allowed = option.allowed { facts.append(allowed) }
    if let value = option.defaultItem {
      let text = value.optionText
      let shown = option.isSecret && !text.isEmpty ? "***" : text
      facts.append(shown.isEmpty ? "default: none" : "default: \(shown.escapedForOneLine())")
    } else {
      facts.append("required")
    }
    if option.isSecret { facts.append("secret") }
    facts.append(option.environmentName)
    return "(" + facts.joined(separator: "; ") + ")"
  }
}
