import Foundation
import Testing

@testable import ServiceKit

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
