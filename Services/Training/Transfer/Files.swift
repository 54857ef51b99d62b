import SystemPackage

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

extension DatasetDownload {
  /// Makes the bytes of a file survive a loss of power.
  static func sync(_ file: FileDescriptor) throws(TransferError) {
    guard fsync(file.rawValue) == 0 else { throw .system("flush a file") }
  }

  /// Puts a file in the place of another in one step.
  static func rename(_ old: String, _ new: String) throws(TransferError) {
    guard Glibc.rename(old, new) == 0 else { throw .system("rename \(old) to \(new)") }
  }
}

extension TransferError {
  /// The error of a system call that has just failed; reads `errno`.
  static func system(_ operation: String, _ number: CInt = errno) -> TransferError {
    TransferError(.storage, "\(operation): \(String(cString: strerror(number)))")
  }
}
