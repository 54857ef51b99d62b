import Foundation

/// A folder with a demo model whose configuration or weights are changed; removed with the object.
final class ModelVariant {
  let folder: String

  /// Copies the configuration of `model` with `changes` (a null removes the key), and links to its
  /// weights, or writes the first `weightBytes` of them.
  init(of model: String, changes: [String: Any] = [:], weightBytes: Int? = nil) throws {
    let files = FileManager.default
    let target = files.temporaryDirectory.appending(path: "llmos-model-\(UUID().uuidString)")
    folder = target.path
    try files.createDirectory(at: target, withIntermediateDirectories: true)
    let source = URL(filePath: model)
    let data = try Data(contentsOf: source.appending(path: "config.json"))
    var configuration = try JSONSerialization.jsonObject(with: data) as? [String: Any] ?? [:]
    for (key, value) in changes {
      configuration[key] = value is NSNull ? nil : value
    }
    try JSONSerialization.data(withJSONObject: configuration)
      .write(to: target.appending(path: "config.json"))
    let weights = source.appending(path: "model.safetensors")
    let link = target.appending(path: "model.safetensors")
    if let weightBytes {
      try Data(contentsOf: weights).prefix(weightBytes).write(to: link)
    } else {
      try files.createSymbolicLink(at: link, withDestinationURL: weights)
    }
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }
}
