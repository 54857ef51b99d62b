import Foundation
import JSON

@testable import Tokenizers

/// Runs a Python script of `Tests/Fixtures/tokenizers` and reads the JSON lines it writes.
enum Peer {
  struct Failure: Error { let message: String }

  static func lines(_ script: String, _ arguments: [String]) throws -> [JSONValue] {
    let process = Process()
    process.executableURL = URL(filePath: Places.python)
    process.arguments =
      ["-B", "\(Places.packageRoot)/Tests/Fixtures/tokenizers/\(script)"] + arguments
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let data = [UInt8](try output.fileHandleForReading.readToEnd() ?? Data())
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw Failure(message: "\(script) ended with status \(process.terminationStatus)")
    }
    return try data.split(separator: 0x0A).map { try JSONValue.read($0) }
  }
}
