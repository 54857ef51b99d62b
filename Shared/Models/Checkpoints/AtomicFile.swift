import Glibc
import Synchronization

/// A file that appears under its name whole, or not at all.
///
/// The content goes to a file beside it, which is synchronized to the disk and renamed in the end: a
/// crash at any point leaves the old file or the new one.
struct AtomicFile: ~Copyable {
  /// Tells the temporary files of one process apart.
  private static let counter = Atomic<UInt64>(0)

  private let path: String
  private let temporary: String
  private var descriptor: Int32

  /// Starts the file `path`; throws `unreadable` when its folder cannot be written.
  init(path: String) throws(CheckpointError) {
    let number = Self.counter.add(1, ordering: .relaxed).newValue
    self.path = path
    temporary = "\(path).\(getpid()).\(number).tmp"
    descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw Self.failure("cannot be created", path) }
  }

  deinit {
    guard descriptor >= 0 else { return }
    close(descriptor)
    unlink(temporary)
  }

  /// Appends bytes.
  mutating func write(_ bytes: UnsafeRawBufferPointer) throws(CheckpointError) {
    var rest = bytes
    while !rest.isEmpty {
      let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw Self.failure("cannot be written", path) }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }

  /// Appends text.
  mutating func write(_ text: String) throws(CheckpointError) {
    var copy = text
    let result = copy.withUTF8 { bytes in
      Result { () throws(CheckpointError) in try self.write(UnsafeRawBufferPointer(bytes)) }
    }
    try result.get()
  }

  /// Gives the file its name; nothing may be written afterwards.
  mutating func commit() throws(CheckpointError) {
    guard fsync(descriptor) == 0, close(descriptor) == 0 else {
      throw Self.failure("cannot be written", path)
    }
    descriptor = -1
    guard rename(temporary, path) == 0 else {
      let failure = Self.failure("cannot be renamed", path)
      unlink(temporary)
      throw failure
    }
    // The name, too, must reach the disk.
    let slash = path.lastIndex(of: "/")
    let folder = open(slash.map { String(path[...$0]) } ?? ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard folder >= 0 else { throw Self.failure("has a folder that cannot be opened", path) }
    defer { close(folder) }
    guard fsync(folder) == 0 else { throw Self.failure("has a folder that cannot be synced", path) }
  }

  private static func failure(_ message: String, _ path: String) -> CheckpointError {
    let reason = String(cString: strerror(errno))
    return CheckpointError(.unwritable, file: path, "\(message): \(reason)")
  }
}
