internal import Crypto
internal import Digests
import Files
internal import FoundationEssentials
import Glibc

/// SHA-256 digests as hexadecimal digits.
enum Digest {
  /// The digest of a configuration: equal for equal settings.
  static func of(_ configuration: TrainingConfiguration) throws(TrainerError) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    do {
      let bytes = try encoder.encode(configuration)
      return SHA256.hash(data: bytes).hexadecimal
    } catch {
      throw TrainerError(.internal, "the configuration cannot be encoded: \(error)", cause: error)
    }
  }

  /// The digest of the contents of files, with their sizes.
  static func ofFiles(_ paths: [String]) throws(TrainerError) -> String {
    var hash = SHA256()
    for path in paths {
      let descriptor = try FileSystem.openForReading(path, followsLinks: true)
      defer { close(descriptor) }
      var size = 0
      try FileSystem.forEachPiece(descriptor, named: path) { piece in
        hash.update(bufferPointer: piece)
        size += piece.count
      }
      withUnsafeBytes(of: size) { hash.update(bufferPointer: $0) }
    }
    return hash.finalize().hexadecimal
  }
}
