import Crypto
import Digests
import Files

/// A file that is being written in the store's staging folder, with its digest.
///
/// Used by one task at a time, on a thread that may block.
package final class StagedFile {
  private static let bufferBytes = 256 << 10

  /// Where it is written.
  package let path: String
  private let writer: FileWriter<DataError>
  private var hash = SHA256()
  private var buffer: [UInt8] = []
  /// Bytes so far.
  package private(set) var sizeBytes = 0

  /// Creates the file; it must not exist.
  package init(path: String) throws(DataError) {
    self.path = path
    writer = try FileWriter(path, isNew: true, permissions: 0o600)
    buffer.reserveCapacity(Self.bufferBytes)
  }

  /// Adds bytes to its end.
  package func append(_ bytes: some Collection<UInt8>) throws(DataError) {
    buffer.append(contentsOf: bytes)
    sizeBytes += bytes.count
    if buffer.count >= Self.bufferBytes { try flush() }
  }

  private func flush() throws(DataError) {
    hash.update(data: buffer)
    try writer.write(buffer)
    buffer.removeAll(keepingCapacity: true)
  }

  /// Makes the file durable and read-only, and closes it.
  package func finish(name: String) throws(DataError) -> StoredFile {
    try flush()
    try writer.finish(permissions: 0o444)
    return StoredFile(
      name: name,
      sizeBytes: Int64(sizeBytes),
      sha256: hash.finalize().hexadecimal
    )
  }
}
