import Foundation
import Testing

/// A folder for one test, removed with the object.
final class TemporaryFolder {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "checkpoints-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Writes a file and returns its path.
  @discardableResult
  func write(_ name: String, _ bytes: [UInt8]) throws -> String {
    let file = "\(path)/\(name)"
    try Data(bytes).write(to: URL(fileURLWithPath: file))
    return file
  }

  @discardableResult
  func write(_ name: String, _ text: String) throws -> String { try write(name, Array(text.utf8)) }

  /// Copies a demo model here, leaving out `names`.
  func copyModel(_ model: String, except names: Set<String> = []) throws {
    let source = demoModel(model)
    for name in try FileManager.default.contentsOfDirectory(atPath: source)
    where !names.contains(name) {
      try FileManager.default.copyItem(atPath: "\(source)/\(name)", toPath: "\(path)/\(name)")
    }
  }

  /// Keeps the first `count` bytes of a file.
  func truncate(_ name: String, to count: Int) throws {
    let handle = try #require(FileHandle(forWritingAtPath: "\(path)/\(name)"))
    try handle.truncate(atOffset: UInt64(count))
    try handle.close()
  }
}

/// The folder of a demo model of this repository.
func demoModel(_ name: String) -> String {
  let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
  return root.appendingPathComponent("deploy/models/\(name)").path
}
