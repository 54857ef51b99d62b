import Foundation

/// The Python environment in which the peers are installed, and their scripts.
struct PythonPeer {
  private let python: String
  private let script: String

  /// Finds a script of `../shared/peers` (`LLMOS_SHARED`) and the environment (`LLMOS_PEERS`, default
  /// `~/.cache/llmos-peers`).
  /// - Throws: `BenchError`, saying what is not there.
  init(script name: String) throws {
    python = "\(Self.folder)/venv/bin/python"
    script = "\(Self.sharedFolder)/peers/\(name)"
    for path in [python, script] where !FileManager.default.fileExists(atPath: path) {
      throw BenchError("\(path) does not exist")
    }
  }

  /// Where the peers are installed.
  static var folder: String {
    ProcessInfo.processInfo.environment["LLMOS_PEERS"] ?? "\(NSHomeDirectory())/.cache/llmos-peers"
  }

  /// Where data and scripts are that no clone carries.
  static var sharedFolder: String {
    ProcessInfo.processInfo.environment["LLMOS_SHARED"]
      ?? "\(FileManager.default.currentDirectoryPath)/../shared"
  }

  /// Runs the script to its end and returns the lines that it printed; its warnings go where ours go.
  func run(_ arguments: [String]) throws -> [Substring] {
    let process = Process()
    process.executableURL = URL(filePath: python)
    process.arguments = [script] + arguments
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let text = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw BenchError("\(script) ended with status \(process.terminationStatus)")
    }
    return String(decoding: text, as: UTF8.self).split(separator: "\n")
  }
}
