import Foundation
import Registry
import Store
import Testing

/// A temporary folder with a place for a store and for model folders; removed with the object.
final class TemporaryStore: Sendable {
  let root: String
  var store: String { "\(root)/data" }

  init() throws {
    root = FileManager.default.temporaryDirectory.path + "/registry-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: root) }

  /// Opens the store with an inspector that accepts everything.
  func open(_ limits: RegistryLimits = RegistryLimits()) throws -> ModelRegistry {
    try ModelRegistry(directory: store, limits: limits, inspector: .accepting)
  }

  /// Opens the store with the inspector of production.
  func openStrict() throws -> ModelRegistry {
    try ModelRegistry(directory: store, inspector: .standard)
  }

  /// Writes a folder of small files; `weights` makes its content distinct.
  func folder(
    _ name: String,
    weights: String = "weights",
    more: [String: String] = [:]
  ) throws
    -> String
  {
    let path = "\(root)/\(name)"
    try? FileManager.default.removeItem(atPath: path)
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    var files = ["config.json": "{}", "tokenizer.json": "{}", "model.safetensors": weights]
    files.merge(more) { $1 }
    for (file, text) in files {
      try write(text, to: "\(path)/\(file)")
    }
    return path
  }

  /// Copies a demo model.
  func demoModel(_ name: String) throws -> String {
    let path = "\(root)/\(name)"
    try FileManager.default.copyItem(atPath: demoModels + "/" + name, toPath: path)
    return path
  }
}

/// The demo models of the repository.
let demoModels = URL(fileURLWithPath: #filePath)
  .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  .appendingPathComponent("deploy/models").path

extension ModelInspector {
  /// Accepts every folder.
  static let accepting = ModelInspector { _ throws(DataError) in
    ModelDescription(task: "text-generation", architecture: "llama", contextTokens: 1_024)
  }
}

func write(_ text: String, to path: String) throws {
  try Data(text.utf8).write(to: URL(fileURLWithPath: path))
}

/// Replaces a file, not its content: a file of the store is read-only and shared.
func replace(_ path: String, with bytes: Data) throws {
  try FileManager.default.removeItem(atPath: path)
  try bytes.write(to: URL(fileURLWithPath: path))
}

func names(in path: String) throws -> [String] {
  try FileManager.default.contentsOfDirectory(atPath: path).sorted()
}

/// Runs the body and returns the error it must throw.
func failure(
  _ location: SourceLocation = #_sourceLocation,
  _ body: () async throws -> Void
) async throws -> DataError {
  let error = await #expect(throws: DataError.self, sourceLocation: location) {
    try await body()
  }
  return try #require(error, sourceLocation: location)
}
