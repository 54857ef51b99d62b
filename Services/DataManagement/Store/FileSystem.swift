import Glibc

/// The file operations of the store, on POSIX calls: each throws with the path's role in its message, none
/// follows a symbolic link by surprise.
///
/// All of them block. They run on the threads of `BlockingWorker` or GRDB, never on the cooperative pool.
package enum FileSystem {
  /// What `stat` says of a path, as far as the store cares.
  package struct Status {
    /// What a path is.
    package enum Kind: Equatable { case file, directory, symbolicLink, other }
    /// What it is.
    package let kind: Kind
    /// Size in bytes.
    package let sizeBytes: Int64
    /// Device and inode: equal for two hard links of one file.
    package let identity: [UInt64]

    fileprivate init(_ raw: stat) {
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

  /// The status of the path itself; nil if there is nothing.
  package static func status(_ path: String) throws(DataError) -> Status? {
    var raw = stat()
    guard lstat(path, &raw) == 0 else {
      let number = errno
      if number == ENOENT || number == ENOTDIR { return nil }
      throw .system("stat \(path)", number)
    }
    return Status(raw)
  }

  /// The status of an open file.
  package static func status(
    ofDescriptor descriptor: CInt,
    name: String
  ) throws(DataError) -> Status {
    var raw = stat()
    guard fstat(descriptor, &raw) == 0 else { throw .system("stat \(name)") }
    return Status(raw)
  }

  /// The absolute path without symbolic links; throws `notFound` if there is nothing.
  package static func canonicalPath(_ path: String) throws(DataError) -> String {
    guard let resolved = realpath(path, nil) else { throw .system("open \(path)") }
    defer { free(resolved) }
    return String(cString: resolved)
  }

  /// Creates a folder; does nothing if it is there.
  package static func createDirectory(_ path: String) throws(DataError) {
    guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw .system("create \(path)") }
  }

  /// Creates a folder and those above it.
  package static func createDirectories(_ path: String) throws(DataError) {
    var prefix = path.hasPrefix("/") ? "" : "."
    for component in path.split(separator: "/") {
      prefix += "/\(component)"
      try createDirectory(prefix)
    }
  }

  /// The names in a folder, sorted, without `.` and `..`; throws `resourceExhausted` beyond the limit.
  package static func entries(of path: String, limit: Int = .max) throws(DataError) -> [String] {
    guard let directory = opendir(path) else { throw .system("list \(path)") }
    defer { closedir(directory) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = readdir(directory) else {
        guard errno == 0 else { throw .system("list \(path)") }
        break
      }
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name == "." || name == ".." { continue }
      guard names.count < limit else {
        throw DataError(.resourceExhausted, "list \(path): more than \(limit) entries")
      }
      names.append(name)
    }
    return names.sorted()
  }

  /// The names of the folders in a folder, sorted; the store itself puts nothing else beside them.
  package static func directories(in path: String) throws(DataError) -> [String] {
    var names: [String] = []
    for name in try entries(of: path) where try status("\(path)/\(name)")?.kind == .directory {
      names.append(name)
    }
    return names
  }

  /// Makes the entries of a folder durable: a rename or link survives a loss of power only after this.
  package static func syncDirectory(_ path: String) throws(DataError) {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .system("open \(path)") }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw .system("fsync \(path)") }
  }

  /// Gives a file a second name; returns false if that name is taken.
  package static func link(_ path: String, as newPath: String) throws(DataError) -> Bool {
    guard Glibc.link(path, newPath) == 0 else {
      let number = errno
      if number == EEXIST { return false }
      if number == EPERM || number == EXDEV {
        throw DataError(
          .failedPrecondition,
          "link \(newPath): the file system has no hard links",
          cause: SystemCallError(number: number)
        )
      }
      throw .system("link \(newPath)", number)
    }
    return true
  }

  /// Moves a file or folder to a new name at once; a file there is replaced.
  package static func rename(_ path: String, to newPath: String) throws(DataError) {
    guard Glibc.rename(path, newPath) == 0 else { throw .system("rename to \(newPath)") }
  }

  /// Removes a file, or a folder with all that is in it; nothing there is fine.
  ///
  /// Recursion is bounded by `depthMax`: the store itself never nests deeper.
  package static func removeTree(_ path: String, depthMax: Int = 8) throws(DataError) {
    guard let status = try status(path) else { return }
    if status.kind != .directory {
      guard unlink(path) == 0 || errno == ENOENT else { throw .system("remove \(path)") }
      return
    }
    guard depthMax > 0 else {
      throw DataError(.failedPrecondition, "remove \(path): nested too deeply")
    }
    for name in try entries(of: path) {
      try removeTree("\(path)/\(name)", depthMax: depthMax - 1)
    }
    guard rmdir(path) == 0 || errno == ENOENT else { throw .system("remove \(path)") }
  }

  /// Milliseconds since 1970-01-01 UTC.
  package static func wallClockMilliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
  }
}
