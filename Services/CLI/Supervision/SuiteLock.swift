package import SystemPackage

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// The lock that makes sure of one supervisor per home folder.
///
/// `flock` holds it: the kernel gives it back when the process ends, however it ends.
package struct SuiteLock: Sendable {
  private let file: FileDescriptor

  /// Takes the lock, or throws `alreadyRunning`.
  package init(_ path: FilePath) throws(SupervisionError) {
    do {
      file = try FileDescriptor.open(
        path,
        .readWrite,
        options: [.create, .closeOnExec],
        permissions: .ownerReadWrite
      )
    } catch {
      throw SupervisionError(.files, "cannot open \(path): \(error)", cause: error)
    }
    guard flock(file.rawValue, LOCK_EX | LOCK_NB) == 0 else {
      try? file.close()
      throw SupervisionError(
        .alreadyRunning,
        "a suite already runs on \(path.removingLastComponent().removingLastComponent())"
      )
    }
  }

  /// Gives the lock back.
  package func release() {
    try? file.close()
  }

  /// Whether some process holds the lock.
  package static func isHeld(_ path: FilePath) -> Bool {
    guard let file = try? FileDescriptor.open(path, .readOnly, options: .closeOnExec) else {
      return false
    }
    defer { try? file.close() }
    return flock(file.rawValue, LOCK_SH | LOCK_NB) != 0
  }
}
