import SystemPackage

/// The memory of a process as the system accounts for it.
package enum ResidentMemory {
  /// The largest status file that is read; Linux writes about 1.5 KiB.
  static let statusBytesMax = 16_384

  /// Bytes of a process that are in memory, those it shares with others included; nil if there is no such process.
  package static func bytes(of pid: Int32) -> Int? {
    let path = FilePath("/proc/\(pid)/status")
    guard let file = try? FileDescriptor.open(path, .readOnly, options: .closeOnExec) else {
      return nil
    }
    defer { try? file.close() }
    var bytes = [UInt8](repeating: 0, count: statusBytesMax)
    guard let count = try? bytes.withUnsafeMutableBytes({ try file.read(into: $0) }) else {
      return nil
    }
    return parse(status: String(decoding: bytes[..<count], as: UTF8.self))
  }

  /// `VmRSS` of a status file, which counts in KiB.
  static func parse(status: String) -> Int? {
    for line in status.split(separator: "\n") {
      let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
      if words.first == "VmRSS:", words.count == 3, words[2] == "kB", let count = Int(words[1]) {
        return count << 10
      }
    }
    return nil
  }
}
