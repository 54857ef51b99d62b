import Foundation

/// A server under test: its name in figures and its executable, which serves and loads.
struct Contender: Sendable {
  let name: String
  let executable: String

  /// Our echo server, which lies beside this executable.
  static func ours() throws -> String {
    let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    let path = URL(filePath: own).deletingLastPathComponent().appending(path: "llmos-rpc-echo").path
    guard FileManager.default.isExecutableFile(atPath: path) else {
      throw RPCBenchError("\(path) is missing: swift build -c release --product llmos-rpc-echo")
    }
    return path
  }
}

/// A contender that serves, until `stop`.
final class RunningServer {
  let port: Int
  let isTLS: Bool
  private let process: Process
  /// Kept open: a server that prints must not be ended by it.
  private let output: Pipe

  /// Starts to serve; with a certificate over TLS.
  ///
  /// `environment` is added to our own.
  init(
    _ contender: Contender,
    tls: Certificate? = nil,
    environment: [String: String] = [:]
  ) throws {
    process = Process()
    output = Pipe()
    isTLS = tls != nil
    process.executableURL = URL(filePath: contender.executable)
    process.arguments = ["serve"] + (tls.map { [$0.certificate, $0.key] } ?? [])
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardOutput = output
    try process.run()
    var line = Data()
    while line.last != UInt8(ascii: "\n") {
      guard let byte = try output.fileHandleForReading.read(upToCount: 1), !byte.isEmpty else {
        throw RPCBenchError("\(contender.executable) serve: ended without a port")
      }
      line += byte
    }
    let words = String(decoding: line, as: UTF8.self).split(whereSeparator: \.isWhitespace)
    guard words.count == 2, words[0] == "port", let port = Int(words[1]) else {
      process.terminate()
      throw RPCBenchError("\(contender.executable) serve: printed \(words), not its port")
    }
    self.port = port
  }

  /// Ends the server.
  func stop() {
    process.terminate()
    process.waitUntilExit()
  }

  /// Processor seconds of the server so far, user and system.
  func cpuSeconds() throws -> Double {
    let path = "/proc/\(process.processIdentifier)/stat"
    let text = try String(contentsOfFile: path, encoding: .utf8)
    // The second field is the name in parentheses; utime and stime are the 14th and 15th.
    guard let end = text.lastIndex(of: ")") else { throw RPCBenchError("\(path): '\(text)'") }
    let fields = text[end...].split(separator: " ")
    guard fields.count > 13, let user = Double(fields[12]), let system = Double(fields[13]) else {
      throw RPCBenchError("\(path): '\(text)'")
    }
    return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
  }

  /// Resident bytes.
  func residentBytes() throws -> Double {
    let path = "/proc/\(process.processIdentifier)/status"
    for line in try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
    where line.hasPrefix("VmRSS:") {
      let words = line.split(whereSeparator: \.isWhitespace)
      if words.count > 1, let kilobytes = Double(words[1]) { return kilobytes * 1_024 }
    }
    throw RPCBenchError("\(path): no VmRSS")
  }
}

/// A certificate for localhost and 127.0.0.1 with its key, self-signed.
struct Certificate: Sendable {
  let certificate: String
  let key: String

  init(in folder: String) throws {
    certificate = "\(folder)/certificate.pem"
    key = "\(folder)/key.pem"
    guard !FileManager.default.fileExists(atPath: key) else { return }
    try Shell.run(
      "/usr/bin/openssl",
      [
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-days", "3650", "-subj", "/CN=localhost", "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate,
      ]
    )
  }
}

/// Where peers are built and requests lie.
struct WorkFolder: Sendable {
  let path: String

  init(cache: String?) throws {
    let environment = ProcessInfo.processInfo.environment
    let peers = environment["LLMOS_PEERS"] ?? "\(NSHomeDirectory())/.cache/llmos-peers"
    path = cache ?? "\(peers)/rpc"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  /// This benchmark's folder in the source tree.
  static var sources: String {
    URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().path
  }
}

/// Runs programs to their end.
enum Shell {
  /// Returns the lines that the program printed; its errors go where ours go.
  @discardableResult
  static func run(_ path: String, _ arguments: [String]) throws -> [Substring] {
    let process = Process()
    process.executableURL = URL(filePath: path)
    process.arguments = arguments
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let text = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw RPCBenchError("\(path): status \(process.terminationStatus)")
    }
    return String(decoding: text, as: UTF8.self).split(separator: "\n")
  }
}

/// What the benchmark prints.
enum Report {
  /// One line: a case, its value, its unit.
  static func show(_ name: String, _ value: Double, _ unit: String, digits: Int = 2) {
    note("\(name) \(String(format: "%.\(digits)f", value)) \(unit)")
  }

  static func note(_ line: String) {
    print(line)
    fflush(nil)
  }
}
