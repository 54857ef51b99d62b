import Foundation

/// A program that a test runs: its output line by line.
///
/// `@unchecked Sendable`: nothing changes after `init`, and Foundation's types are used by one
/// thread each.
final class Subprocess: @unchecked Sendable {
  private let process: Process
  private let output: FileHandle
  /// Programs that serve end when this does, even when the test crashes.
  private let input = Pipe()

  /// Starts the program.
  init(_ executable: String, _ arguments: [String]) throws {
    process = Process()
    process.executableURL = URL(fileURLWithPath: executable)
    process.arguments = arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardInput = input
    output = pipe.fileHandleForReading
    try process.run()
  }

  /// The lines of its standard output until it ends or closes it.
  ///
  /// They are read on a thread of their own: reading blocks.
  func lines() -> AsyncStream<String> {
    AsyncStream(bufferingPolicy: .bufferingOldest(10_000)) { continuation in
      let output = output
      Thread {
        var rest = Data()
        while case let data = output.availableData, !data.isEmpty {
          rest.append(data)
          while let end = rest.firstIndex(of: 10) {
            continuation.yield(String(decoding: rest[rest.startIndex..<end], as: UTF8.self))
            rest = rest[(end + 1)...]
          }
        }
        continuation.finish()
      }.start()
    }
  }

  /// Ends the program; without effect when it has ended.
  func terminate() {
    try? input.fileHandleForWriting.close()
    // SIGTERM may be blocked: the child inherits the mask of the thread that started it.
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
  }

  /// Runs a program to its end; returns whether it succeeded.
  static func run(_ executable: String, _ arguments: [String]) async throws -> Bool {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: executable)
    process.arguments = arguments
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    return try await withCheckedThrowingContinuation { continuation in
      process.terminationHandler = { continuation.resume(returning: $0.terminationStatus == 0) }
      do {
        try process.run()
      } catch {
        continuation.resume(throwing: error)
      }
    }
  }
}

/// Programs that only some machines have.
enum Peers {
  /// Python with grpcio, at `LLMOS_PEERS` or in the user's cache.
  static let python: String? = {
    let environment = ProcessInfo.processInfo.environment
    let base = environment["LLMOS_PEERS"] ?? NSHomeDirectory() + "/.cache/llmos-peers"
    let path = base + "/venv/bin/python"
    return FileManager.default.isExecutableFile(atPath: path) ? path : nil
  }()

  static let openssl: String? = ["/usr/bin/openssl", "/usr/local/bin/openssl"].first {
    FileManager.default.isExecutableFile(atPath: $0)
  }

  /// A script in `Tests/Interop/rpc`.
  static func script(_ name: String, file: String = #filePath) -> String {
    URL(fileURLWithPath: file).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Interop/rpc/\(name)").path
  }
}
