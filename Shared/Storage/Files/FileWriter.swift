#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Writes a file from the front; the content is durable after `finish`, the name only once its folder is synced.
///
/// Used by one task at a time, on a thread that may block.
package final class FileWriter<Failure: FileFailure> {
  /// The most bytes of one system call.
  private static var blockBytes: Int { 1 << 24 }

  private let name: String
  private var descriptor: CInt

  /// Creates the file.
  ///
  /// - Parameters:
  ///   - path: where; a symbolic link there is refused.
  ///   - name: what messages call it; nil: by its path.
  ///   - isNew: whether a file that is there is an error; otherwise it is emptied.
  ///   - permissions: of a file that is created.
  /// - Throws: `create`.
  package init(
    _ path: String,
    named name: String? = nil,
    isNew: Bool,
    permissions: UInt32 = 0o644
  ) throws(Failure) {
    self.name = name ?? path
    let flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (isNew ? O_EXCL : O_TRUNC)
    descriptor = open(path, flags, mode_t(permissions))
    guard descriptor >= 0 else { throw .system(.create, path) }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Appends bytes.
  package func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
    precondition(descriptor >= 0, "\(name) is finished")
    var rest = bytes
    while !rest.isEmpty {
      let size = min(rest.count, Self.blockBytes)
      #if canImport(Glibc)
      let count = Glibc.write(descriptor, rest.baseAddress, size)
      #else
      let count = Musl.write(descriptor, rest.baseAddress, size)
      #endif
      guard count >= 0 else {
        let number = errno
        if number == EINTR { continue }
        throw .system(.write, name, number)
      }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }

  /// Appends bytes.
  package func write(_ bytes: [UInt8]) throws(Failure) {
    // A closure that throws a typed error does not pass through `withUnsafeBytes`; a result does.
    let result = bytes.withUnsafeBytes { bytes in
      Result { () throws(Failure) in try write(bytes) }
    }
    try result.get()
  }

  /// Appends text as UTF-8.
  package func write(_ text: String) throws(Failure) { try write(Array(text.utf8)) }

  /// Makes the content durable and closes the file.
  ///
  /// - Parameter permissions: what the file gets first, such as 0o444 for one that never changes; nil: none.
  /// - Throws: `write` or `sync`; the content may then be on the disk or not.
  package func finish(permissions: UInt32? = nil) throws(Failure) {
    precondition(descriptor >= 0, "\(name) is finished")
    if let permissions {
      guard fchmod(descriptor, mode_t(permissions)) == 0 else { throw .system(.write, name) }
    }
    guard fsync(descriptor) == 0 else { throw .system(.sync, name) }
    let closed = close(descriptor)
    // The descriptor is gone whatever `close` says.
    descriptor = -1
    guard closed == 0 else { throw .system(.write, name) }
  }
}
