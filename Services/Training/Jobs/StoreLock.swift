#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// The claim of one process to the store; held as long as the object lives, and released by the system when the
/// process ends in any way.
final class StoreLock: Sendable {
  private let descriptor: CInt

  /// Takes the lock; throws `failedPrecondition` if another owner holds it.
  init(path: String) throws(JobStoreError) {
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else {
      let reason = String(cString: strerror(errno))
      throw JobStoreError(.failedPrecondition, "open the jobs: \(path): \(reason)")
    }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      close(descriptor)
      throw JobStoreError(
        .failedPrecondition,
        "open the jobs: another process owns the store (\(path) is locked)"
      )
    }
    self.descriptor = descriptor
  }

  deinit {
    // A child process that is being started may still share the file, and would hold the lock.
    flock(descriptor, LOCK_UN)
    close(descriptor)
  }
}
