import Crypto
import Glibc

/// A file that is being written in the store's staging folder, with its digest.
///
/// Used by one task at a time, on a thread that may block.
package final class StagedFile {
  private static let bufferBytes = 256 << 10

  /// Where it is written.
  package let path: String
  private let descriptor: CInt
  private var hash = SHA256()
  private var buffer: [UInt8] = []
  /// Bytes so far.
  package private(set) var sizeBytes = 0
  private var isOpen = true

  /// Creates the file; it must not exist.
  package init(path: String) throws(DataError) {
    self.path = path
    descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw .system("create \(path)") }
    buffer.reserveCapacity(Self.bufferBytes)
  }

  deinit { if isOpen { close(descriptor) } }

  /// Adds bytes to its end.
  package func append(_ bytes: some Collection<UInt8>) throws(DataError) {
    buffer.append(contentsOf: bytes)
    sizeBytes += bytes.count
    if buffer.count >= Self.bufferBytes { try flush() }
  }

  private func flush() throws(DataError) {
    let name = path
    let descriptor = self.descriptor
    let result = buffer.withUnsafeBytes { bytes -> Result<Void, DataError> in
      hash.update(bufferPointer: bytes)
      return Result { () throws(DataError) in
        try BlobDirectory.write(bytes, to: descriptor, named: name)
      }
    }
    try result.get()
    buffer.removeAll(keepingCapacity: true)
  }

  /// Makes the file durable and read-only, and closes it.
  package func finish(name: String) throws(DataError) -> StoredFile {
    try flush()
    guard fchmod(descriptor, 0o444) == 0, fsync(descriptor) == 0 else {
      throw .system("write \(path)")
    }
    isOpen = false
    guard close(descriptor) == 0 else { throw .system("write \(path)") }
    return StoredFile(
      name: name,
      sizeBytes: Int64(sizeBytes),
      sha256: hexadecimal(hash.finalize())
    )
  }
}
