import Foundation
import Testing

/// Where the tests find models, data and peers.
enum Environment {
  /// The folder of Package.swift.
  static let packageRoot = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path
  /// The folder of data sets that is not part of the package.
  static let shared =
    ProcessInfo.processInfo.environment["LLMOS_SHARED"] ?? "\(packageRoot)/../shared"
  static let wikiann = "\(shared)/data/wikiann-en/test.conll"
  static let chatModel = "\(packageRoot)/deploy/models/support-chat"
  static let entityModel = "\(packageRoot)/deploy/models/ner-wikiann"

  /// The Python that has transformers; nil where it is not installed.
  static let python: String? = {
    let environment = ProcessInfo.processInfo.environment
    let peers = environment["LLMOS_PEERS"] ?? "\(environment["HOME"] ?? "")/.cache/llmos-peers"
    let path = "\(peers)/venv/bin/python"
    return FileManager.default.isExecutableFile(atPath: path) ? path : nil
  }()
  static let hasPeers = python != nil
  static let hasData = FileManager.default.fileExists(atPath: wikiann)

  /// Runs a Python script with two arguments: the JSON file it reads and the one it writes.
  static func runPeer<Input: Encodable, Output: Decodable>(
    _ script: String,
    _ input: Input,
    as type: Output.Type = Output.self
  ) async throws -> Output {
    let folder = NSTemporaryDirectory() + "generation-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    // Files, not pipes: neither side can block the other.
    let inputFile = URL(fileURLWithPath: "\(folder)/input.json")
    let outputFile = URL(fileURLWithPath: "\(folder)/output.json")
    try JSONEncoder().encode(input).write(to: inputFile)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try #require(python))
    process.arguments = ["-c", script, inputFile.path, outputFile.path]
    process.environment = ProcessInfo.processInfo.environment.merging(
      ["HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "OMP_NUM_THREADS": "1"]
    ) { $1 }
    process.standardOutput = FileHandle.nullDevice
    // Not `waitUntilExit`: it would hold a thread of the pool that other tests need.
    try await withCheckedThrowingContinuation {
      (continuation: CheckedContinuation<Void, any Error>) in
      process.terminationHandler = { _ in continuation.resume() }
      do {
        try process.run()
      } catch {
        process.terminationHandler = nil
        continuation.resume(throwing: error)
      }
    }
    try #require(process.terminationStatus == 0, "the peer failed")
    return try JSONDecoder().decode(type, from: Data(contentsOf: outputFile))
  }
}
