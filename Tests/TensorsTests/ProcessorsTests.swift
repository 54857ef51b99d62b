import Foundation
import Tensors
import Testing

@Suite("The number of processors")
struct ProcessorsTests {
  @Test("It is at least one, and at most the affinity mask")
  func available() {
    #expect(Processors.available() >= 1)
    #expect(Processors.available() <= max(1, Processors.allowed().count))
  }

  @Test("The smallest quota of the group and those above it holds (version 2)")
  func version2() throws {
    try withFolder { folder in
      try write("max 100000\n", folder, "cpu.max")
      try write("250000 100000\n", folder, "pod/cpu.max")
      try write("max 100000\n", folder, "pod/container/cpu.max")
      #expect(Processors.quota(root: folder, membership: "0::/pod/container\n") == 2.5)
      #expect(Processors.quota(root: folder, membership: "0::/\n") == nil)
    }
  }

  @Test("The cpu controller of version 1 is read")
  func version1() throws {
    try withFolder { folder in
      try write("150000\n", folder, "cpu/box/cpu.cfs_quota_us")
      try write("100000\n", folder, "cpu/box/cpu.cfs_period_us")
      try write("-1\n", folder, "cpu/cpu.cfs_quota_us")
      try write("100000\n", folder, "cpu/cpu.cfs_period_us")
      let membership = "4:memory:/box\n3:cpu,cpuacct:/box\n"
      #expect(Processors.quota(root: folder, membership: membership) == 1.5)
    }
  }

  @Test("Nonsense is no quota", arguments: ["", "x", "0 100000", "100000 0", "-5 100000", "nan 1"])
  func nonsense(text: String) throws {
    try withFolder { folder in
      try write(text, folder, "cpu.max")
      #expect(Processors.quota(root: folder, membership: "0::/\nrubbish\n") == nil)
    }
  }

  private func withFolder(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder.path)
  }

  private func write(_ text: String, _ folder: String, _ name: String) throws {
    let file = URL(filePath: folder).appending(path: name)
    try FileManager.default.createDirectory(
      at: file.deletingLastPathComponent(),
      withIntermediateDirectories: true
    )
    try text.write(to: file, atomically: true, encoding: .utf8)
  }
}
