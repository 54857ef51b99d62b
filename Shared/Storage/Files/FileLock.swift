#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// The claim of one process to a store or a folder: a lock on a file, held as long as the object lives, and
/// released by the system when the process ends in any way.
///
/// It is advisory, and tells owners apart even within one process.
package final class FileLock<Failure: FileFailure>: Sendable {
  let descriptor: CInt

  private init(opening path: String) throws(Failure) {
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw .system(.open, path) }
  }

  deinit {
    guard descriptor >= 0 else { return }
    // A child process that is being started may still share the file, and would hold the lock.
    flock(descriptor, LOCK_UN)
    close(descriptor)
  }

  /// Takes the lock; nil if another owner holds it.
  ///
  /// - Parameter path: the file, which is created if missing, and stays.
  /// - Returns: the lock.
  /// - Throws: `open` or `lock`.
  package static func acquire(_ path: String) throws(Failure) -> FileLock? {
    let lock = try FileLock(opening: path)
    return try lock.take(LOCK_EX | LOCK_NB, path) ? lock : nil
  }

  /// Takes the lock, and blocks for as long as another owner holds it.
  ///
  /// - Parameter path: the file, which is created if missing, and stays.
  /// - Returns: the lock.
  /// - Throws: `open` or `lock`.
  package static func waitFor(_ path: String) throws(Failure) -> FileLock {
    let lock = try FileLock(opening: path)
    _ = try lock.take(LOCK_EX, path)
    return lock
  }

  private func take(_ operation: CInt, _ path: String) throws(Failure) -> Bool {
    while flock(descriptor, operation) != 0 {
      let number = errno
      if number == EINTR { continue }
      guard number == EWOULDBLOCK else { throw .system(.lock, path, number) }
      return false
    }
    return true
  }
}
