import Crypto

/// One file of a model version.
package struct ModelFile: Sendable, Equatable {
  /// The weights' file name.
  package static let weights = "model.safetensors"

  /// The file's name in the model folder.
  package let name: String
  /// Size in bytes.
  package let sizeBytes: Int64
  /// SHA-256 of the content, lower-case hexadecimal; also the name of its blob.
  package let sha256: String
}

/// What the registry needs to know of a model folder's content.
package struct ModelDescription: Sendable, Equatable {
  /// `text-generation` or `token-classification`.
  package var task: String
  /// The config's `model_type`, for example `llama`.
  package var architecture: String
  /// The longest input in tokens.
  package var contextTokens: Int

  /// A description with its values.
  package init(task: String, architecture: String, contextTokens: Int) {
    self.task = task
    self.architecture = architecture
    self.contextTokens = contextTokens
  }
}

/// One registered version of a model; immutable but for its aliases.
package struct ModelVersion: Sendable, Equatable {
  /// The model's name.
  package let name: String
  /// Counts from 1 for each name; never used twice.
  package let version: UInt32
  /// SHA-256 over the sorted file names and their digests; see `digest(of:)`.
  package let digest: String
  /// Task, architecture and context length.
  package let description: ModelDescription
  /// The files, sorted by name.
  package let files: [ModelFile]
  /// The folder that holds the files: absolute, in the store, not to be written to.
  package let path: String
  /// The aliases that point here, sorted.
  package let aliases: [String]
  /// Milliseconds since 1970-01-01 UTC.
  package let createdAtMilliseconds: Int64

  /// The digest of a set of files: SHA-256 of the lines `<sha256>  <name>` sorted by name (bytewise).
  ///
  /// That is what `sha256sum` prints, so in a version's folder `LC_ALL=C sha256sum -- * | sha256sum`
  /// prints the same digest.
  static func digest(of files: [ModelFile]) -> String {
    var hash = SHA256()
    for file in files.sorted(by: { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }) {
      Array("\(file.sha256)  \(file.name)\n".utf8).withUnsafeBytes {
        hash.update(bufferPointer: $0)
      }
    }
    return hexadecimal(hash.finalize())
  }

  /// Lower-case hexadecimal of bytes.
  static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    text.reserveCapacity(64)
    for byte in bytes {
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
  }
}
