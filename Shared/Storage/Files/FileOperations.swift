#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Operations on files and folders, on POSIX calls, with the errors of the module that uses them.
///
/// All of them block: they belong on threads that may, never on the cooperative pool. None follows a symbolic
/// link by surprise.
package enum FileOperations<Failure: FileFailure> {
  /// Bytes that are read at once.
  package static var pieceBytes: Int { 1 << 20 }

  // MARK: - Status

  /// The status of the path itself; nil if there is nothing.
  package static func status(_ path: String) throws(Failure) -> FileStatus? {
    var raw = stat()
    guard lstat(path, &raw) == 0 else {
      let number = errno
      if number == ENOENT || number == ENOTDIR { return nil }
      throw .system(.stat, path, number)
    }
    return FileStatus(raw)
  }

  /// The status of an open file, which messages call `name`.
  package static func status(
    ofDescriptor descriptor: CInt,
    name: String
  ) throws(Failure) -> FileStatus {
    var raw = stat()
    guard fstat(descriptor, &raw) == 0 else { throw .system(.stat, name) }
    return FileStatus(raw)
  }

  /// Whether the path is a regular file, or a link to one.
  package static func isFile(_ path: String) -> Bool {
    var raw = stat()
    return stat(path, &raw) == 0 && raw.st_mode & S_IFMT == S_IFREG
  }

  /// The absolute path without symbolic links; an error if there is nothing.
  package static func canonicalPath(_ path: String) throws(Failure) -> String {
    guard let resolved = realpath(path, nil) else { throw .system(.open, path) }
    defer { free(resolved) }
    return String(cString: resolved)
  }

  // MARK: - Folders

  /// Creates a folder; does nothing if it is there.
  package static func createDirectory(_ path: String) throws(Failure) {
    guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw .system(.create, path) }
  }

  /// Creates a folder and those above it.
  package static func createDirectories(_ path: String) throws(Failure) {
    var prefix = path.hasPrefix("/") ? "" : "."
    for component in path.split(separator: "/") {
      prefix += "/\(component)"
      try createDirectory(prefix)
    }
  }

  /// The names in a folder, sorted, without `.` and `..`; `excessive` beyond the limit.
  package static func entries(of path: String, limit: Int = .max) throws(Failure) -> [String] {
    guard let directory = opendir(path) else { throw .system(.list, path) }
    defer { closedir(directory) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = readdir(directory) else {
        guard errno == 0 else { throw .system(.list, path) }
        break
      }
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name == "." || name == ".." { continue }
      guard names.count < limit else {
        throw .excessive(.list, path, "more than \(limit) entries")
      }
      names.append(name)
    }
    return names.sorted()
  }

  /// The names of the folders in a folder, sorted.
  package static func directories(in path: String) throws(Failure) -> [String] {
    var names: [String] = []
    for name in try entries(of: path) where try status("\(path)/\(name)")?.kind == .directory {
      names.append(name)
    }
    return names
  }

  /// Makes the entries of a folder durable: a rename or link survives a loss of power only after this.
  package static func syncDirectory(_ path: String) throws(Failure) {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .system(.open, path) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw .system(.sync, path) }
  }

  // MARK: - Names

  /// Gives a file a second name; returns false if that name is taken.
  package static func link(_ path: String, as newPath: String) throws(Failure) -> Bool {
    #if canImport(Glibc)
    let result = Glibc.link(path, newPath)
    #else
    let result = Musl.link(path, newPath)
    #endif
    guard result == 0 else {
      let number = errno
      if number == EEXIST { return false }
      throw .system(.link, newPath, number)
    }
    return true
  }

  /// Moves a file or folder to a new name at once; a file there is replaced.
  package static func rename(_ path: String, to newPath: String) throws(Failure) {
    #if canImport(Glibc)
    let result = Glibc.rename(path, newPath)
    #else
    let result = Musl.rename(path, newPath)
    #endif
    guard result == 0 else { throw .system(.rename, newPath) }
  }

  /// Removes a file, or a folder with all that is in it; nothing there is fine.
  ///
  /// Recursion is bounded by `depthMax`; deeper folders are `excessive`.
  package static func removeTree(_ path: String, depthMax: Int = 8) throws(Failure) {
    guard let status = try status(path) else { return }
    if status.kind != .directory {
      guard unlink(path) == 0 || errno == ENOENT else { throw .system(.remove, path) }
      return
    }
    guard depthMax > 0 else { throw .excessive(.remove, path, "nested too deeply") }
    for name in try entries(of: path) {
      try removeTree("\(path)/\(name)", depthMax: depthMax - 1)
    }
    guard rmdir(path) == 0 || errno == ENOENT else { throw .system(.remove, path) }
  }

  // MARK: - Contents

  /// Opens a file for reading; neither a symbolic link nor, for ever, a pipe without a writer.
  ///
  /// - Parameters:
  ///   - path: the file.
  ///   - name: what messages call it; nil: by its path.
  ///   - followsLinks: whether the last part of the path may be a symbolic link.
  /// - Returns: the descriptor, which the caller closes.
  /// - Throws: `open`.
  package static func openForReading(
    _ path: String,
    named name: String? = nil,
    followsLinks: Bool = false
  ) throws(Failure) -> CInt {
    let flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | (followsLinks ? 0 : O_NOFOLLOW)
    let descriptor = open(path, flags)
    guard descriptor >= 0 else { throw .system(.open, name ?? path) }
    return descriptor
  }

  /// The status of an open file, which messages call `name`; an error unless it is a regular one.
  @discardableResult
  package static func requireFile(_ descriptor: CInt, _ name: String) throws(Failure) -> FileStatus
  {
    let status = try status(ofDescriptor: descriptor, name: name)
    guard status.kind == .file else {
      throw .system(.read, name, status.kind == .directory ? EISDIR : ENOTSUP)
    }
    return status
  }

  /// Reads an open file from where it stands to its end, and hands each piece to `body`.
  package static func forEachPiece(
    _ descriptor: CInt,
    named name: String,
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceBytes, alignment: 64)
    defer { piece.deallocate() }
    while true {
      #if canImport(Glibc)
      let count = Glibc.read(descriptor, piece.baseAddress, piece.count)
      #else
      let count = Musl.read(descriptor, piece.baseAddress, piece.count)
      #endif
      guard count >= 0 else {
        let number = errno
        if number == EINTR { continue }
        throw .system(.read, name, number)
      }
      guard count > 0 else { return }
      try body(UnsafeRawBufferPointer(rebasing: piece[..<count]))
    }
  }

  /// The bytes of a regular file of at most `bytesMax`; a larger one is `excessive`.
  package static func read(_ path: String, bytesMax: Int = 1 << 30) throws(Failure) -> [UInt8] {
    let descriptor = try openForReading(path, followsLinks: true)
    defer { close(descriptor) }
    let status = try requireFile(descriptor, path)
    guard status.sizeBytes <= bytesMax else {
      throw .excessive(.read, path, "\(status.sizeBytes) bytes, more than \(bytesMax)")
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Int(status.sizeBytes))
    try forEachPiece(descriptor, named: path) { (piece) throws(Failure) in
      guard bytes.count + piece.count <= bytesMax else {
        throw .excessive(.read, path, "more than \(bytesMax) bytes")
      }
      bytes.append(contentsOf: piece)
    }
    return bytes
  }

  /// Writes a whole file, whose content is durable on return; `AtomicFile` replaces one that readers may see.
  package static func write(
    _ bytes: some Collection<UInt8>,
    to path: String
  ) throws(Failure) {
    let writer = try FileWriter<Failure>(path, isNew: false)
    try writer.write(Array(bytes))
    try writer.finish()
  }
}
