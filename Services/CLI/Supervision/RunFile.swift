import SystemPackage

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Files of the running suite, which appear whole or not at all; they need not outlive the machine.
enum RunFile {
  /// Replaces the file with a value as JSON.
  static func write(_ value: some Encodable, to path: FilePath) throws(SupervisionError) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
    let data: Data
    do {
      data = try encoder.encode(value)
    } catch {
      throw SupervisionError(.files, "cannot write \(path): \(error)", cause: error)
    }
    try write(data, to: path)
  }

  /// Replaces the file with lines of text.
  static func write(lines: [String], to path: FilePath) throws(SupervisionError) {
    try write(Data(lines.map { $0 + "\n" }.joined().utf8), to: path)
  }

  private static func write(_ data: Data, to path: FilePath) throws(SupervisionError) {
    do {
      try data.write(to: URL(filePath: path.string), options: .atomic)
    } catch {
      throw SupervisionError(.files, "cannot write \(path): \(error)", cause: error)
    }
  }

  /// Removes the file if it is there.
  static func remove(_ path: FilePath) {
    try? FileManager.default.removeItem(atPath: path.string)
  }
}
