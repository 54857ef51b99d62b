import Foundation
import Testing

@testable import ServiceKit

/// The options of a made-up service, one of every type.
enum SampleOptions {
  enum Mode: String, OptionValue, CaseIterable { case fast, exact }

  static let host = ServiceOption("rpc.host", default: "127.0.0.1", help: "Address to bind to.")
  static let port = ServiceOption(
    "rpc.port",
    default: 7101,
    in: 0...65535,
    help: "Port to listen on."
  )
  static let verbose = ServiceOption("verbose", default: false, help: "Says more.")
  static let grace = ServiceOption(
    "shutdown.grace",
    default: Duration.seconds(10),
    in: .zero ... .seconds(600),
    help: "Time for running requests."
  )
  static let limit = ServiceOption(
    "cache.bytes-max",
    default: ByteCount.mebibytes(4),
    help: "Size of the cache."
  )
  static let models = ServiceOption(
    "models",
    default: ["support-chat"],
    help: "Models to load."
  )
  static let ratio = ServiceOption("ratio", default: 0.5, in: 0...1, help: "A share.")
  static let mode = ServiceOption("mode", default: Mode.fast, help: "How to compute.")
  static let key = ServiceOption("auth.key", default: "", help: "A key.", secret: true)
  static let file = ServiceOption(
    "ports.file",
    default: Optional<String>.none,
    help: "Where to write the ports."
  )
  static let batch = ServiceOption(
    "batch.max",
    default: 8,
    in: 1...256,
    unit: "texts",
    help: "Most texts in one request."
  )

  static let all: [any DeclaredOption] = [
    host, port, verbose, grace, limit, models, ratio, mode, key, file, batch,
  ]
  static let schema = ConfigurationSchema(
    program: "llmos-sample",
    version: "1.2.3",
    summary: "an example",
    options: all
  )
}

/// A file that lives as long as the value's scope.
func withFile<R>(_ text: String, _ body: (String) throws -> R) throws -> R {
  let path = FileManager.default.temporaryDirectory
    .appendingPathComponent("llmos-kit-\(UUID().uuidString).yaml").path
  try Data(text.utf8).write(to: URL(fileURLWithPath: path))
  defer { try? FileManager.default.removeItem(atPath: path) }
  return try body(path)
}

private func load(
  _ arguments: [String] = [],
  environment: [String: String] = [:],
  file: String? = nil
) throws -> Configuration {
  func run(_ arguments: [String]) throws -> Configuration {
    switch try SampleOptions.schema.load(arguments: arguments, environment: environment) {
    case .run(let configuration): return configuration
    case .print(let text):
      throw ServiceKitError(.runFailed, "printed instead: \(text)")
    }
  }
  guard let file else { return try run(arguments) }
  return try withFile(file) { try run(["--config", $0] + arguments) }
}

/// The message of the error that loading must throw; `FILE` stands for the file's path.
private func refusal(
  _ arguments: [String] = [],
  environment: [String: String] = [:],
  file: String? = nil
) -> String {
  func run(_ arguments: [String]) -> String {
    do {
      _ = try SampleOptions.schema.load(arguments: arguments, environment: environment)
      return "(accepted)"
    } catch {
      #expect(error.code == .invalidConfiguration)
      #expect(!error.message.contains("\n"))
      return error.message
    }
  }
  guard let file else { return run(arguments) }
  let message = try? withFile(file) { path in
    run(["--config", path] + arguments).replacingOccurrences(of: path, with: "FILE")
  }
  return message ?? "(no file)"
}

@Suite struct ConfigurationSources {
  @Test func `without sources every option has its default`() throws {
    let configuration = try load()
    #expect(configuration[SampleOptions.host] == "127.0.0.1")
    #expect(configuration[SampleOptions.port] == 7101)
    #expect(configuration[SampleOptions.verbose] == false)
    #expect(configuration[SampleOptions.grace] == .seconds(10))
    #expect(configuration[SampleOptions.limit].bytes == 4_194_304)
    #expect(configuration[SampleOptions.models] == ["support-chat"])
    #expect(configuration[SampleOptions.mode] == .fast)
    #expect(configuration[SampleOptions.file] == nil)
    #expect(configuration.source(of: SampleOptions.port) == .default)
  }

  @Test func `flags win over the environment, which wins over the file`() throws {
    let file = "rpc:\n  port: 1\n  host: file\nbatch: {max: 3}\n"
    let environment = ["LLMOS_RPC_PORT": "2", "LLMOS_RPC_HOST": "env", "PATH": "/bin"]
    let configuration = try load(["--rpc.port", "3"], environment: environment, file: file)
    #expect(configuration[SampleOptions.port] == 3)
    #expect(configuration[SampleOptions.host] == "env")
    #expect(configuration[SampleOptions.batch] == 3)
    #expect(configuration.source(of: SampleOptions.port) == .flag(name: "--rpc.port"))
    #expect(
      configuration.source(of: SampleOptions.host) == .environment(name: "LLMOS_RPC_HOST")
    )
    guard case .file(_, line: 4) = configuration.source(of: SampleOptions.batch) else {
      Issue.record("source is \(configuration.source(of: SampleOptions.batch))")
      return
    }
  }

  @Test func `a flag's value follows a blank or an equals sign`() throws {
    #expect(try load(["--rpc.port=5"])[SampleOptions.port] == 5)
    #expect(try load(["--rpc.port", "5"])[SampleOptions.port] == 5)
    #expect(try load(["--rpc.host="])[SampleOptions.host] == "")
    #expect(try load(["--rpc.host=a=b"])[SampleOptions.host] == "a=b")
    #expect(try load(["--rpc.host", "-x"])[SampleOptions.host] == "-x")
  }

  @Test func `a boolean flag may stand alone`() throws {
    #expect(try load(["--verbose"])[SampleOptions.verbose])
    #expect(try load(["--verbose", "--rpc.port", "5"])[SampleOptions.verbose])
    #expect(try load(["--verbose", "false"])[SampleOptions.verbose] == false)
    #expect(try load(["--verbose=off"])[SampleOptions.verbose] == false)
    #expect(try load(environment: ["LLMOS_VERBOSE": "yes"])[SampleOptions.verbose])
  }

  @Test func `lists come from commas, repeated flags and YAML sequences`() throws {
    #expect(try load(["--models", "a, b"])[SampleOptions.models] == ["a", "b"])
    #expect(try load(["--models=a", "--models=b,c"])[SampleOptions.models] == ["a", "b", "c"])
    #expect(try load(["--models="])[SampleOptions.models] == [])
    #expect(try load(file: "models: [a, 'b,c']\n")[SampleOptions.models] == ["a", "b,c"])
    #expect(try load(file: "models:\n- a\n- b\n")[SampleOptions.models] == ["a", "b"])
    #expect(try load(file: "models: a,b\n")[SampleOptions.models] == ["a", "b"])
    #expect(try load(file: "models: []\n")[SampleOptions.models] == [])
  }

  @Test func `dashes and dots become underscores in variables`() throws {
    #expect(SampleOptions.limit.environmentName == "LLMOS_CACHE_BYTES_MAX")
    let configuration = try load(environment: ["LLMOS_CACHE_BYTES_MAX": "1KiB"])
    #expect(configuration[SampleOptions.limit].bytes == 1024)
  }

  @Test func `variables of the whole suite are no options`() throws {
    let environment = [
      "LLMOS_HOME": "/h", "LLMOS_PEERS": "/p", "LLMOS_SHARED": "/s", "LLMOS_CONFIG": "",
    ]
    _ = try load(environment: environment)
  }

  @Test func `the file may be named by a variable and the flag wins`() throws {
    try withFile("rpc: {port: 11}") { first in
      let environment = ["LLMOS_CONFIG": first]
      #expect(try load(environment: environment)[SampleOptions.port] == 11)
      try withFile("rpc: {port: 12}") { second in
        let configuration = try load(["--config=\(second)"], environment: environment)
        #expect(configuration[SampleOptions.port] == 12)
      }
    }
  }

  @Test func `dotted keys, quotes and aliases are read`() throws {
    let file = "rpc.port: 9\nrpc: {host: &h \"a b\"}\nauth.key: *h\n"
    let configuration = try load(file: file)
    #expect(configuration[SampleOptions.port] == 9)
    #expect(configuration[SampleOptions.host] == "a b")
    #expect(configuration[SampleOptions.key] == "a b")
  }

  @Test(arguments: ["", "# nothing\n", "---\n", "~\n", "{}\n"])
  func `an empty file sets nothing`(file: String) throws {
    #expect(try load(file: file)[SampleOptions.port] == 7101)
  }
}

@Suite struct ConfigurationRefusals {
  @Test func `unknown options are named with their source`() {
    #expect(refusal(["--rpc.prot", "1"]) == "unknown flag --rpc.prot; did you mean --rpc.port?")
    #expect(refusal(["--colour=1"]) == "unknown flag --colour")
    #expect(
      refusal(environment: ["LLMOS_RPC_PROT": "1"])
        == "unknown environment variable LLMOS_RPC_PROT; did you mean LLMOS_RPC_PORT?"
    )
    #expect(
      refusal(file: "rpc:\n  prot: 1\n")
        == "unknown option 'rpc.prot' (FILE, line 2); did you mean rpc.port?"
    )
    #expect(refusal(file: "colour: {red: 1}\n") == "unknown option 'colour.red' (FILE, line 1)")
  }

  @Test func `bad values are named with option and source`() {
    #expect(
      refusal(["--rpc.port", "http"])
        == "option 'rpc.port' (flag --rpc.port): 'http' is not an integer"
    )
    #expect(
      refusal(environment: ["LLMOS_RPC_PORT": "70000"])
        == "option 'rpc.port' (environment variable LLMOS_RPC_PORT): "
        + "'70000' is outside 0...65535"
    )
    #expect(
      refusal(file: "\nshutdown:\n  grace: 10\n")
        == "option 'shutdown.grace' (FILE, line 3): "
        + "'10' is not a duration (such as 250ms, 30s or 1h30m)"
    )
    #expect(
      refusal(["--shutdown.grace=1h"])
        == "option 'shutdown.grace' (flag --shutdown.grace): '1h' is outside 0s...10m"
    )
    #expect(
      refusal(["--mode=quick"])
        == "option 'mode' (flag --mode): 'quick' is not one of fast, exact"
    )
    #expect(
      refusal(["--verbose=maybe"])
        == "option 'verbose' (flag --verbose): 'maybe' is not a boolean (true or false)"
    )
    #expect(refusal(["--ratio=nan"]) == "option 'ratio' (flag --ratio): 'nan' is not a number")
    #expect(
      refusal(["--cache.bytes-max=4 mb"])
        == "option 'cache.bytes-max' (flag --cache.bytes-max): "
        + "'4 mb' is not a byte count (such as 4096, 512KiB or 4MiB)"
    )
    #expect(
      refusal(environment: ["LLMOS_MODELS": "a,,b"])
        == "option 'models' (environment variable LLMOS_MODELS): 'a,,b' contains an empty item"
    )
    #expect(
      refusal(file: "rpc: {port: [1]}\n")
        == "option 'rpc.port' (FILE, line 1): '1' is a list, not an integer"
    )
  }

  @Test func `a bad value in a weaker source is refused too`() {
    #expect(
      refusal(["--rpc.port", "1"], environment: ["LLMOS_RPC_PORT": "x"])
        == "option 'rpc.port' (environment variable LLMOS_RPC_PORT): 'x' is not an integer"
    )
  }

  @Test func `a secret's value is not shown`() {
    let key = ServiceOption(
      "pin",
      default: 1,
      help: "A secret number.",
      secret: true
    )
    let schema = ConfigurationSchema(
      program: "p",
      version: "1",
      summary: "s",
      options: [key]
    )
    let error = #expect(throws: ServiceKitError.self) {
      try schema.load(arguments: ["--pin=hunter2"], environment: [:])
    }
    #expect(error?.message == "option 'pin' (flag --pin): the value is not an integer")
  }

  @Test func `a required option must be set`() throws {
    let folder = ServiceOption<String>(required: "data.folder", help: "Where data is.")
    let schema = ConfigurationSchema(
      program: "p",
      version: "1",
      summary: "s",
      options: [folder]
    )
    let error = #expect(throws: ServiceKitError.self) {
      try schema.load(arguments: [], environment: [:])
    }
    #expect(
      error?.message
        == "option 'data.folder' is required: set --data.folder or LLMOS_DATA_FOLDER"
    )
  }

  @Test func `a malformed command line is refused`() {
    #expect(refusal(["serve"]) == "unexpected argument 'serve' (see --help)")
    #expect(refusal(["-v"]) == "unexpected argument '-v' (see --help)")
    #expect(refusal(["--"]) == "unexpected argument '--' (see --help)")
    #expect(refusal(["--rpc.port"]) == "flag --rpc.port needs a value")
    #expect(refusal(["--rpc.port", "--verbose"]) == "flag --rpc.port needs a value")
    #expect(refusal(["--rpc.port=1", "--rpc.port=2"]) == "flag --rpc.port is given twice")
    #expect(refusal(["--config", "a", "--config", "b"]) == "flag --config is given twice")
    #expect(refusal(["--verbose", "maybe"]).hasSuffix("'maybe' is not a boolean (true or false)"))
    #expect(
      refusal(Array(repeating: "--verbose", count: 2000)) == "more than 1024 arguments"
    )
  }

  @Test func `control characters do not reach the error line`() {
    #expect(
      refusal(["--rpc.port=1\n2\u{1b}[31m"])
        == "option 'rpc.port' (flag --rpc.port): '1\\n2\\u001b[31m' is not an integer"
    )
    #expect(refusal(["a\nb"]) == "unexpected argument 'a\\nb' (see --help)")
    #expect(refusal(["--a\nb"]) == "unknown flag --a\\nb")
    let long = refusal(["--rpc.port=" + String(repeating: "9", count: 5000)])
    #expect(long.utf8.count < 250)
  }

  @Test func `a file that cannot be read is refused with the reason`() {
    #expect(
      refusal(["--config", "/no/such.yaml"])
        == "configuration file /no/such.yaml cannot be read: No such file or directory"
    )
    #expect(refusal(["--config", "/"]) == "configuration file / cannot be read: Is a directory")
  }

  @Test func `malformed YAML is refused with file and line`() {
    #expect(refusal(file: "rpc: {port: 1\n").hasPrefix("configuration file FILE, line "))
    #expect(
      refusal(file: "rpc:\n  port: 1\n  port: 2\n")
        == "configuration file FILE, line 2: key 'port' is given twice"
    )
    #expect(
      refusal(file: "rpc:\n  port: 1\nrpc:\n  host: a\n")
        == "configuration file FILE, line 1: key 'rpc' is given twice"
    )
    #expect(
      refusal(file: "- a\n") == "configuration file FILE is not a mapping of option names"
    )
    #expect(refusal(file: "a\n") == "configuration file FILE is not a mapping of option names")
    #expect(
      refusal(file: "rpc:\n  port:\n")
        == "configuration file FILE, line 2: option 'rpc.port' has no value"
    )
    #expect(
      refusal(file: "models: [{a: 1}]\n")
        == "configuration file FILE, line 1: an item of option 'models' is not a plain value"
    )
    #expect(
      refusal(file: "? [a]\n: 1\n") == "configuration file FILE, line 1: a key is not a plain name"
    )
    #expect(refusal(file: "a: 1\n---\nb: 2\n").hasPrefix("configuration file FILE, line "))
    #expect(refusal(file: "rpc: {<<: {port: 1}}\n").hasPrefix("unknown option 'rpc.<<.port'"))
  }

  @Test func `the same option by two spellings in one file is refused`() {
    #expect(
      refusal(file: "rpc.port: 1\nrpc:\n  port: 2\n")
        == "option 'rpc.port' (FILE, line 3) is given twice, first on line 1"
    )
  }

  @Test func `hostile YAML is bounded`() throws {
    #expect(
      refusal(file: "a: " + String(repeating: "x", count: 300_000))
        == "configuration file FILE is larger than 262144 bytes"
    )
    var bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
    for level in 1...9 {
      let aliases = Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ",")
      bomb += "a\(level): &a\(level) [\(aliases)]\n"
    }
    #expect(refusal(file: bomb) == "configuration file FILE has more than 16 aliases")
    let deep = String(repeating: "[", count: 100_000)
    #expect(refusal(file: "models: \(deep)").hasPrefix("configuration file FILE"))
    let nested = String(repeating: "- ", count: 100_000)
    #expect(refusal(file: nested).hasPrefix("configuration file FILE"))
    let maps = (0..<20).map { String(repeating: " ", count: $0) + "a:\n" }.joined()
    #expect(
      refusal(file: maps + String(repeating: " ", count: 20) + "a: 1\n")
        == "configuration file FILE, line 17: more than 16 nested mappings"
    )
    let many = (0..<5000).map { "\"\($0)\"" }.joined(separator: ",")
    #expect(
      refusal(file: "models: [\(many)]\n")
        == "configuration file FILE, line 1: more than 4096 values"
    )
    try withBytes([0x61, 0x3a, 0x20, 0xff, 0xfe]) { path in
      #expect(refusal(["--config", path]).hasSuffix(" is not UTF-8"))
    }
    #expect(refusal(file: "a: \u{0}\n").hasPrefix("configuration file FILE"))
  }

  private func withBytes(_ bytes: [UInt8], _ body: (String) -> Void) throws {
    try withFile("") { path in
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      body(path)
    }
  }
}

@Suite struct ConfigurationOutput {
  @Test func `the help lists every option with type, default, unit and variable`() throws {
    guard
      case .print(let help) = try SampleOptions.schema.load(
        arguments: ["--rpc.port=1", "--help"],
        environment: [:]
      )
    else {
      Issue.record("no help")
      return
    }
    #expect(help.hasPrefix("llmos-sample 1.2.3: an example\n"))
    for option in SampleOptions.all {
      #expect(help.contains("  --\(option.name) "))
      #expect(help.contains(option.environmentName))
      #expect(help.contains(option.help))
    }
    #expect(
      help.contains(
        "  --batch.max INTEGER\n      Most texts in one request.\n"
          + "      (integer, in texts; 1...256; default: 8; LLMOS_BATCH_MAX)\n"
      )
    )
    #expect(help.contains("(duration; 0s...10m; default: 10s; LLMOS_SHUTDOWN_GRACE)"))
    #expect(help.contains("(byte count; default: 4MiB; LLMOS_CACHE_BYTES_MAX)"))
    #expect(help.contains("(string; default: none; secret; LLMOS_AUTH_KEY)"))
    #expect(help.contains("(fast|exact; default: fast; LLMOS_MODE)"))
    #expect(help.split(separator: "\n").allSatisfy { $0.count <= 100 })
  }

  @Test func `the version is printed`() throws {
    guard
      case .print("llmos-sample 1.2.3\n") = try SampleOptions.schema.load(
        arguments: ["--version"],
        environment: [:]
      )
    else {
      Issue.record("no version")
      return
    }
  }

  @Test func `the effective configuration is printed with secrets masked`() throws {
    let request = try SampleOptions.schema.load(
      arguments: ["--print-config", "--auth.key=s3cret", "--models=a,b \"c\""],
      environment: ["LLMOS_RPC_PORT": "0"]
    )
    guard case .print(let yaml) = request else {
      Issue.record("no configuration")
      return
    }
    #expect(
      yaml == """
        auth:
          key: "***"  # flag
        batch:
          max: 8  # default
        cache:
          bytes-max: 4MiB  # default
        mode: fast  # default
        models: ["a", "b \\"c\\""]  # flag
        ports:
          file: ""  # default
        ratio: 0.5  # default
        rpc:
          host: "127.0.0.1"  # default
          port: 0  # environment
        shutdown:
          grace: 10s  # default
        verbose: false  # default

        """
    )
  }

  @Test func `a printed configuration reads back as itself`() throws {
    let first = try load([
      "--rpc.host=a\n\t\"b\\ é\u{85}\u{2028}", "--models=x", "--shutdown.grace=1m30s",
      "--cache.bytes-max=1000", "--ports.file=/tmp/p", "--ratio=1e-3",
    ])
    let second = try load(file: first.yaml())
    for option in SampleOptions.all {
      #expect(second.yaml().contains(option.name.split(separator: ".").last ?? ""))
    }
    #expect(second[SampleOptions.host] == first[SampleOptions.host])
    #expect(second[SampleOptions.models] == ["x"])
    #expect(second[SampleOptions.grace] == .seconds(90))
    #expect(second[SampleOptions.limit].bytes == 1000)
    #expect(second[SampleOptions.file] == "/tmp/p")
    #expect(second[SampleOptions.ratio] == 0.001)
  }

  @Test func `a value found wrong later is reported in the same words`() throws {
    let configuration = try load(environment: ["LLMOS_RPC_HOST": "nowhere"])
    #expect(
      configuration.error(SampleOptions.host, "is not an address of this machine").message
        == "option 'rpc.host' (environment variable LLMOS_RPC_HOST): "
        + "'nowhere' is not an address of this machine"
    )
  }
}

@Suite struct OptionValues {
  @Test(arguments: [
    ("0", 0.0), ("0s", 0), ("250ms", 0.25), ("30s", 30), ("1.5s", 1.5), ("1h30m", 5400),
    ("2d", 172_800), ("10us", 1e-5), ("7ns", 7e-9), ("1m0.5s", 60.5),
  ])
  func `durations are read with units`(text: String, seconds: Double) throws {
    let duration = try Duration(optionText: text)
    #expect(abs(duration.inSeconds - seconds) < 1e-12)
    #expect(try Duration(optionText: duration.optionText) == duration)
  }

  @Test(arguments: [
    "", "5", "-5s", "s", "1.s", ".5s", "1 s", "1S", "1w", "1s2", "1e3s", "9999999999d",
    "٣s", "1..5s", "infs",
  ])
  func `other texts are no durations`(text: String) {
    #expect(throws: ServiceKitError.self) { try Duration(optionText: text) }
  }

  @Test(arguments: [
    ("0", 0), ("4096", 4096), ("1KiB", 1024), ("4MiB", 4 << 20), ("2GiB", 2 << 30),
    ("1TiB", 1 << 40), ("5kB", 5000), ("5MB", 5_000_000), ("1 GB", 1_000_000_000), ("7B", 7),
    ("64Mi", 64 << 20),
  ])
  func `byte counts are read with units`(text: String, bytes: Int) throws {
    let count = try ByteCount(optionText: text)
    #expect(count.bytes == bytes)
    #expect(try ByteCount(optionText: count.optionText) == count)
  }

  @Test(arguments: [
    "", "MiB", "-1", "1.5MiB", "1mib", "9223372036854775807KiB", "99999999999999999999", "٤",
  ])
  func `other texts are no byte counts`(text: String) {
    #expect(throws: ServiceKitError.self) { try ByteCount(optionText: text) }
  }

  @Test func `near names are found by edit distance`() {
    #expect(editDistance("", "abc") == 3)
    #expect(editDistance("kitten", "sitting") == 3)
    #expect(editDistance("same", "same") == 0)
  }
}
