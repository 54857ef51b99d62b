import Digests
import Files
import Glibc

/// File contents under their SHA-256: written once, never changed, shared by all versions that have them.
///
/// Every function blocks. Writers are serialized by the registry's import worker; readers need no lock.
package struct BlobDirectory: Sendable {
  package let layout: StoreLayout

  /// Copies an open file into a new one; the copy is durable on return, and read-only.
  ///
  /// - Parameters:
  ///   - source: the descriptor to read, from its start.
  ///   - name: the file's name, for messages.
  ///   - expectedBytes: its size when it was opened.
  ///   - path: where the copy goes; must not exist.
  /// - Returns: the file's name, size and digest.
  /// - Throws: `failedPrecondition` if the file changes meanwhile, `cancelled`, or what the system says.
  package func copy(
    _ source: CInt,
    named name: String,
    expectedBytes: Int64,
    to path: String
  ) throws(DataError) -> StoredFile {
    let target = try FileWriter<DataError>(path, named: name, isNew: true, permissions: 0o600)
    var copiedBytes: Int64 = 0
    let sha256 = try Self.hash(source, named: name) { (chunk) throws(DataError) in
      copiedBytes += Int64(chunk.count)
      guard copiedBytes <= expectedBytes else { return }
      try target.write(chunk)
    }
    guard copiedBytes == expectedBytes else {
      throw DataError(
        .failedPrecondition,
        "import: \(name) changed meanwhile: \(expectedBytes) bytes at first, then \(copiedBytes)"
      )
    }
    try target.finish(permissions: 0o444)
    return StoredFile(name: name, sizeBytes: copiedBytes, sha256: sha256)
  }

  /// Makes a staged copy the blob of its digest; returns true if a damaged blob was replaced.
  ///
  /// A blob that is there already is read and hashed before it is trusted, so that importing a folder again
  /// repairs the store.
  package func adopt(staged path: String, as file: StoredFile) throws(DataError) -> Bool {
    let blob = layout.blob(file.sha256)
    let shard = "\(layout.blobs)/\(file.sha256.prefix(2))"
    if try FileSystem.status(shard) == nil {
      try FileSystem.createDirectory(shard)
      try FileSystem.syncDirectory(layout.blobs)
    }
    if try FileSystem.link(path, as: blob) {
      try FileSystem.syncDirectory(shard)
      return false
    }
    if try damage(of: file) == nil { return false }
    try FileSystem.rename(path, to: blob)
    try FileSystem.syncDirectory(shard)
    return true
  }

  /// What is wrong with the blob of a file, after reading all of it; nil if it is sound.
  package func damage(of file: StoredFile) throws(DataError) -> String? {
    let path = layout.blob(file.sha256)
    guard let status = try FileSystem.status(path) else { return "missing" }
    guard status.kind == .file else { return "not a regular file" }
    guard status.sizeBytes == file.sizeBytes else {
      return "\(status.sizeBytes) bytes instead of \(file.sizeBytes)"
    }
    let descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
    guard descriptor >= 0 else { return "unreadable: \(SystemCallError(number: errno))" }
    defer { close(descriptor) }
    let found: String
    do {
      found = try Self.hash(descriptor, named: file.name)
    } catch  where error.code == .internalFailure {
      // A sector that cannot be read is damage like any other.
      return error.message
    }
    return found == file.sha256 ? nil : "SHA-256 is \(found) instead of \(file.sha256)"
  }

  /// Removes the blobs that are not in the set; returns how many.
  package func sweep(keeping digests: Set<String>) throws(DataError) -> Int {
    var removed = 0
    for shard in try FileSystem.directories(in: layout.blobs) {
      for name in try FileSystem.entries(of: "\(layout.blobs)/\(shard)")
      where !digests.contains(name) {
        try FileSystem.removeTree("\(layout.blobs)/\(shard)/\(name)")
        removed += 1
      }
    }
    return removed
  }

  /// Whether there is any blob.
  package func isEmpty() throws(DataError) -> Bool {
    for shard in try FileSystem.directories(in: layout.blobs) {
      guard try FileSystem.entries(of: "\(layout.blobs)/\(shard)").isEmpty else { return false }
    }
    return true
  }

  /// Reads a file to its end and returns its SHA-256 in lower-case hexadecimal.
  ///
  /// Each chunk is handed to the body on the way. Throws `cancelled` when the task is cancelled.
  private static func hash(
    _ descriptor: CInt,
    named name: String,
    each body: (UnsafeRawBufferPointer) throws(DataError) -> Void = { _ in }
  ) throws(DataError) -> String {
    try FileSystem.sha256(ofDescriptor: descriptor, named: name) { (piece) throws(DataError) in
      if Task.isCancelled { throw DataError(.cancelled, "read \(name): cancelled") }
      try body(piece)
    }
  }
}
