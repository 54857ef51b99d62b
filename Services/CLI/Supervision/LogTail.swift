import SystemPackage

/// The end of a log file.
enum LogTail {
  /// How far back the last line is looked for.
  static let bytesMax = 4096

  /// The last line that is not empty, nil if there is none.
  static func lastLine(of path: FilePath) -> String? {
    guard let file = try? FileDescriptor.open(path, .readOnly, options: .closeOnExec) else {
      return nil
    }
    defer { try? file.close() }
    guard let size = try? file.seek(offset: 0, from: .end) else { return nil }
    let start = max(0, size - Int64(bytesMax))
    var bytes = [UInt8](repeating: 0, count: Int(size - start))
    guard
      let count = try? bytes.withUnsafeMutableBytes({
        try file.read(fromAbsoluteOffset: start, into: $0)
      })
    else { return nil }
    return bytes[..<count].split(separator: UInt8(ascii: "\n"))
      .last.map { String(decoding: $0, as: UTF8.self) }
  }
}
