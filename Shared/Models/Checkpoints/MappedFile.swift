import Files

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// A regular file mapped into memory, read-only, for as long as the object lives.
///
/// The file must not be truncated while it is mapped: the kernel would end the process with SIGBUS.
/// Model files are therefore replaced by renaming, never rewritten in place.
///
/// `@unchecked Sendable`: the mapping is created in `init`, is never written (PROT_READ), and is removed
/// in `deinit` only, so that any thread may read it.
package final class MappedFile: @unchecked Sendable {
  /// The path the file was opened with.
  package let path: String
  /// The whole file; valid while the object lives.
  package let bytes: UnsafeRawBufferPointer

  /// Maps the file at `path`; throws `notFound`, `unreadable`, or `malformed` when it is larger than `bytesMax`.
  package init(path: String, bytesMax: Int = .max) throws(CheckpointError) {
    self.path = path
    // O_NONBLOCK: opening a named pipe must not wait for its writer.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw .system(.open, path) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .system(.stat, path) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw CheckpointError(.unreadable, file: path, "is not a regular file")
    }
    let size = Int(status.st_size)
    guard size <= bytesMax else {
      throw CheckpointError(
        .malformed,
        file: path,
        "has \(size) bytes; at most \(bytesMax) are accepted"
      )
    }
    guard size > 0 else {  // mmap refuses empty files.
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0)
    guard let address, address != MAP_FAILED else { throw .system(.map, path) }
    bytes = UnsafeRawBufferPointer(start: address, count: size)
  }

  deinit {
    if let address = bytes.baseAddress {
      munmap(UnsafeMutableRawPointer(mutating: address), bytes.count)
    }
  }
}
