import Testing

@testable import ServiceKit

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
