#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A file that appears under its name whole, or not at all.
///
/// The content goes to a file beside it, which is made durable and then renamed; last the folder is made durable.
/// A crash or a loss of power at any point leaves the old file or the new one. What it leaves beside it, the next
/// writer of the same path overwrites: a path has one writer at a time.
///
/// Used by one task at a time, on a thread that may block.
package final class AtomicFile<Failure: FileFailure> {
  /// The path with this is where the content is written.
  package static var temporarySuffix: String { ".tmp" }

  private let path: String
  private let temporary: String
  private let writer: FileWriter<Failure>
  private let onStep: (AtomicFileStep) -> Void
  private var isRenamed = false

  /// Starts the file.
  package convenience init(_ path: String) throws(Failure) {
    try self.init(path) { _ in }
  }

  /// As the other initializer; `onStep` is called as the file advances.
  init(_ path: String, onStep: @escaping (AtomicFileStep) -> Void) throws(Failure) {
    self.path = path
    self.onStep = onStep
    temporary = path + Self.temporarySuffix
    writer = try FileWriter(temporary, isNew: false)
    onStep(.created)
  }

  deinit { if !isRenamed { unlink(temporary) } }

  /// Appends bytes.
  package func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) { try writer.write(bytes) }

  /// Appends bytes.
  package func write(_ bytes: [UInt8]) throws(Failure) { try writer.write(bytes) }

  /// Appends text as UTF-8.
  package func write(_ text: String) throws(Failure) { try writer.write(text) }

  /// Gives the file its name; nothing may be written afterwards.
  package func commit() throws(Failure) {
    onStep(.written)
    try writer.finish()
    onStep(.durable)
    try FileOperations<Failure>.rename(temporary, to: path)
    isRenamed = true
    onStep(.renamed)
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    try FileOperations<Failure>.syncDirectory(folder)
    onStep(.committed)
  }

  /// Replaces the file `path` with `bytes`.
  package static func write(_ bytes: some Collection<UInt8>, to path: String) throws(Failure) {
    let file = try AtomicFile(path)
    try file.write(Array(bytes))
    try file.commit()
  }
}

/// How far an atomic file is; tests end the process at each.
enum AtomicFileStep: String, CaseIterable {
  case created, written, durable, renamed, committed
}
