import Foundation

/// The file in which a running service says where it listens: `{"admin":…,"pid":…,"rpc":…}`.
///
/// It appears whole, by a rename, once the service is about to be ready.
struct PortsFile: Sendable {
  let path: String
  private let text: String

  init(path: String, ports: [String: Int], pid: Int32) {
    self.path = path
    var fields = ports
    fields["pid"] = Int(pid)
    // Names of listeners are plain words, written by the program itself.
    text =
      "{"
      + fields.sorted { $0.key < $1.key }.map { "\"\($0.key)\":\($0.value)" }
      .joined(separator: ",") + "}\n"
  }

  func write() throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
  }

  /// Removes the file, unless another process has put its own in its place.
  func remove() {
    guard let data = FileManager.default.contents(atPath: path), data == Data(text.utf8) else {
      return
    }
    try? FileManager.default.removeItem(atPath: path)
  }
}
