#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// What `stat` says of a path, as far as stores care.
package struct FileStatus: Sendable {
  /// What a path is.
  package enum Kind: Equatable, Sendable { case file, directory, symbolicLink, other }
  /// What it is.
  package let kind: Kind
  /// Size in bytes.
  package let sizeBytes: Int64
  /// Device and inode: equal for two hard links of one file.
  package let identity: [UInt64]

  init(_ raw: stat) {
    kind =
      switch raw.st_mode & S_IFMT {
      case S_IFREG: .file
      case S_IFDIR: .directory
      case S_IFLNK: .symbolicLink
      default: .other
      }
    sizeBytes = Int64(raw.st_size)
    identity = [UInt64(raw.st_dev), UInt64(raw.st_ino)]
  }
}
