import Files
import Glibc

/// A file of rows, one in each line, read in constant memory.
package struct JSONLinesFile: RowSource {
  /// The path of the file.
  package let path: String

  /// Bytes read at once.
  private static let blockBytes = 1 << 18

  /// Names a file; it is opened when it is read.
  package init(path: String) { self.path = path }

  package func forEachRow(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw TrainerError.system(.open, path) }
    defer { close(descriptor) }
    var pending: [UInt8] = []
    var block = [UInt8](repeating: 0, count: Self.blockBytes)
    while true {
      let count = read(descriptor, &block, block.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw TrainerError.system(.read, path) }
      guard count > 0 else { break }
      var start = 0
      while let end = block[start..<count].firstIndex(of: UInt8(ascii: "\n")) {
        pending += block[start..<end]
        try emit(&pending, body)
        start = end + 1
      }
      pending += block[start..<count]
      guard pending.count <= DataLimits.rowBytesMax else {
        throw TrainerError(
          .invalidData,
          "\(path): a line is longer than \(DataLimits.rowBytesMax) bytes"
        )
      }
    }
    try emit(&pending, body)
  }

  private func emit(
    _ line: inout [UInt8],
    _ body: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    if line.contains(where: { $0 > 0x20 }) { try line.withUnsafeBytes { try body($0) } }
    line.removeAll(keepingCapacity: true)
  }
}
