/// A model folder in Hugging Face's layout, checked file by file.
package struct ModelFolder: Sendable {
  /// The most bytes of a tokenizer's files.
  static let tokenizerBytesMax = 256 << 20

  /// The files that every model needs.
  package static let requiredFiles = ["config.json", "model.safetensors", "tokenizer.json"]
  /// The files that are used where present.
  package static let optionalFiles = [
    "generation_config.json", "tokenizer_config.json", "chat_template.jinja",
  ]

  /// The folder.
  package let path: String
  /// Its `config.json`.
  package let configuration: ModelConfiguration
  /// The names of the model's files in this folder: the required ones, then the optional ones present.
  package let files: [String]

  /// Checks every file that the model in the folder `path` needs: `config.json`, `model.safetensors` (every
  /// tensor within the file), `tokenizer.json`, and the optional files where present.
  ///
  /// Throws an error whose `file` is the damaged or missing file. Reads headers and JSON, not the weights.
  package static func validate(_ path: String) throws(CheckpointError) -> ModelFolder {
    let configuration = try ModelConfiguration(folder: path)
    let weights = try SafetensorsFile(path: "\(path)/model.safetensors")
    guard !weights.tensorNames.isEmpty else {
      throw CheckpointError(.malformed, file: weights.path, "holds no tensors")
    }
    _ = try ConfigurationReader(path: "\(path)/tokenizer.json", bytesMax: tokenizerBytesMax)
    var files = requiredFiles
    for name in optionalFiles where try isPresent("\(path)/\(name)") {
      files.append(name)
    }
    return ModelFolder(path: path, configuration: configuration, files: files)
  }

  /// Whether the optional file exists; throws when it does and is damaged.
  private static func isPresent(_ path: String) throws(CheckpointError) -> Bool {
    do throws(CheckpointError) {
      if path.hasSuffix(".json") {
        _ = try ConfigurationReader(path: path, bytesMax: tokenizerBytesMax)
      } else {
        let mapping = try MappedFile(path: path, bytesMax: tokenizerBytesMax)
        guard String(validating: mapping.bytes, as: UTF8.self) != nil else {
          throw CheckpointError(.malformed, file: path, "is not UTF-8 text")
        }
      }
      return true
    } catch  where error.code == .notFound {
      return false
    }
  }
}
