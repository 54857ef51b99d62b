#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// How much memory the service may use.
enum MachineMemory {
  /// The bytes of the container's limit or of the machine, whichever is less; 0 if the system does not say.
  static func bytes(
    meminfo: String? = read("/proc/meminfo"),
    limits: [String?] = containerLimits()
  ) -> UInt64 {
    let total =
      meminfo?.split(separator: "\n").first { $0.hasPrefix("MemTotal:") }
      .flatMap { $0.split(separator: " ").dropFirst().first }
      .flatMap { UInt64($0) }.map { $0 << 10 }
    // A limit of "max" (or of version 1: near 2^63) is none.
    let limit = limits.compactMap { $0 }
      .compactMap { UInt64($0.split(separator: "\n").first ?? "") }.filter { $0 < 1 << 62 }.min()
    return [total, limit].compactMap { $0 }.min() ?? 0
  }

  private static func containerLimits() -> [String?] {
    [read("/sys/fs/cgroup/memory.max"), read("/sys/fs/cgroup/memory/memory.limit_in_bytes")]
  }

  private static func read(_ path: String) -> String? {
    let bytesMax = 1 << 14
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: bytesMax)
    // Files of /proc and /sys of this size come in one read.
    let count = Glibc.read(descriptor, &bytes, bytes.count)
    return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
  }
}
