internal import Crypto
internal import FoundationEssentials
import Glibc

/// SHA-256 digests as hexadecimal digits.
enum Digest {
  /// Bytes read at once.
  private static let blockBytes = 1 << 20

  /// The digest of a configuration: equal for equal settings.
  static func of(_ configuration: TrainingConfiguration) throws(TrainerError) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    do {
      let bytes = try encoder.encode(configuration)
      return SplitReader.hexadecimal(SHA256.hash(data: bytes))
    } catch {
      throw TrainerError(.internal, "the configuration cannot be encoded: \(error)", cause: error)
    }
  }

  /// The digest of the contents of files, with their sizes.
  static func ofFiles(_ paths: [String]) throws(TrainerError) -> String {
    var hash = SHA256()
    var block = [UInt8](repeating: 0, count: blockBytes)
    for path in paths {
      let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
      guard descriptor >= 0 else { throw .system("open \(path)") }
      defer { close(descriptor) }
      var size = 0
      while true {
        let count = read(descriptor, &block, block.count)
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { throw .system("read \(path)") }
        guard count > 0 else { break }
        hash.update(data: block[..<count])
        size += count
      }
      withUnsafeBytes(of: size) { hash.update(bufferPointer: $0) }
    }
    return SplitReader.hexadecimal(hash.finalize())
  }
}
