import Glibc

/// The file operations of a run's folder, on POSIX calls; they block.
enum Files {
  /// Creates a folder and those above it.
  static func createFolders(_ path: String) throws(TrainerError) {
    var prefix = path.hasPrefix("/") ? "" : "."
    for component in path.split(separator: "/") {
      prefix += "/\(component)"
      guard mkdir(prefix, 0o755) == 0 || errno == EEXIST else {
        throw .system("create \(prefix)")
      }
    }
  }

  /// The names in a folder, sorted; none if there is no such folder.
  static func names(in path: String) throws(TrainerError) -> [String] {
    guard let folder = opendir(path) else {
      if errno == ENOENT { return [] }
      throw .system("list \(path)")
    }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Whether there is a regular file.
  static func exists(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
  }

  /// The size of a file in bytes; nil if there is none.
  static func size(_ path: String) -> Int? {
    var status = stat()
    return stat(path, &status) == 0 ? Int(status.st_size) : nil
  }

  /// Removes a file, if there is one.
  static func remove(_ path: String) throws(TrainerError) {
    guard unlink(path) == 0 || errno == ENOENT else { throw .system("remove \(path)") }
  }

  /// Removes a folder of files, if there is one.
  static func removeFolder(_ path: String) throws(TrainerError) {
    for name in try names(in: path) { try remove("\(path)/\(name)") }
    guard rmdir(path) == 0 || errno == ENOENT else { throw .system("remove \(path)") }
  }

  /// Moves a file or folder to a new name at once.
  static func rename(_ path: String, to newPath: String) throws(TrainerError) {
    guard Glibc.rename(path, newPath) == 0 else { throw .system("rename to \(newPath)") }
  }

  /// Makes a file's content, or a folder's entries, durable.
  static func sync(_ path: String) throws(TrainerError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .system("open \(path)") }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw .system("sync \(path)") }
  }

  /// Writes a whole file, durable when it returns.
  static func write(_ bytes: some Collection<UInt8>, to path: String) throws(TrainerError) {
    let writer = try FileWriter(path)
    try writer.write(Array(bytes))
    try writer.finish()
  }

  /// The bytes of a file of at most `bytesMax`.
  static func read(_ path: String, bytesMax: Int = 1 << 30) throws(TrainerError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw .system("open \(path)") }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
      Int(status.st_size) <= bytesMax
    else { throw TrainerError(.storage, "\(path) is not a file of at most \(bytesMax) bytes") }
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
    var filled = 0
    while filled < bytes.count {
      let count = bytes.withUnsafeMutableBytes { buffer in
        Glibc.read(descriptor, buffer.baseAddress.map { $0 + filled }, buffer.count - filled)
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw .system("read \(path)") }
      filled += count
    }
    return bytes
  }
}

/// Writes a file from the front.
final class FileWriter {
  private let path: String
  private var descriptor: CInt

  /// The most bytes of one system call.
  private static let blockBytes = 1 << 24

  /// Creates the file, or empties it.
  init(_ path: String) throws(TrainerError) {
    self.path = path
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .system("create \(path)") }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  func write(_ bytes: UnsafeRawBufferPointer) throws(TrainerError) {
    var offset = 0
    while offset < bytes.count {
      let size = min(bytes.count - offset, Self.blockBytes)
      let count = Glibc.write(descriptor, bytes.baseAddress.map { $0 + offset }, size)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw .system("write \(path)") }
      offset += count
    }
  }

  func write(_ bytes: [UInt8]) throws(TrainerError) {
    try bytes.withUnsafeBytes { buffer in
      Result { () throws(TrainerError) in try write(buffer) }
    }.get()
  }

  /// Makes the content durable and closes the file.
  func finish() throws(TrainerError) {
    guard fsync(descriptor) == 0 else { throw .system("sync \(path)") }
    close(descriptor)
    descriptor = -1
  }
}
