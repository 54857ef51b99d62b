import Foundation
import Testing
import Tokenizers

@testable import Trainer

/// Where the tests find models, data and peers.
enum Environment {
  /// The folder of Package.swift.
  static let packageRoot = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path
  /// The folder of data sets that is not part of the package.
  static let shared =
    ProcessInfo.processInfo.environment["LLMOS_SHARED"] ?? "\(packageRoot)/../shared"
  static let chatModel = "\(packageRoot)/deploy/models/support-chat"
  static let entityModel = "\(packageRoot)/deploy/models/ner-wikiann"

  /// The Python that has torch and transformers; nil where it is not installed.
  static let python: String? = {
    let environment = ProcessInfo.processInfo.environment
    let peers = environment["LLMOS_PEERS"] ?? "\(environment["HOME"] ?? "")/.cache/llmos-peers"
    let path = "\(peers)/venv/bin/python"
    return FileManager.default.isExecutableFile(atPath: path) ? path : nil
  }()
  static let hasPeers = python != nil

  static func chatTokenizer() throws -> Tokenizer { try Tokenizer(folder: chatModel) }
  static func entityTokenizer() throws -> Tokenizer { try Tokenizer(folder: entityModel) }

  /// Runs a Python script with arguments and waits for it.
  static func runPeer(_ script: String, _ arguments: [String]) async throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try #require(python))
    process.arguments = ["-c", script] + arguments
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
  }
}

/// A folder that is removed with the value.
final class TemporaryFolder: Sendable {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "trainer-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// The error that `body` throws; nil if it throws none.
func trainerError(_ body: () throws -> Void) -> TrainerError? {
  do {
    try body()
    return nil
  } catch {
    return error as? TrainerError
  }
}
