internal import CKernels
import Glibc

/// How many processors the process may use: the smaller of its affinity mask (cpuset) and the CPU
/// quota of its control groups.
package enum Processors {
  /// The number of threads that can run at once; at least 1.
  package static func available() -> Int {
    let allowed = allowed().count
    guard let quota = quota(root: "/sys/fs/cgroup", membership: read("/proc/self/cgroup") ?? "")
    else { return max(allowed, 1) }
    // Half a processor of quota beyond a whole one is worth a thread of its own.
    return min(max(allowed, 1), max(1, Int(quota.rounded(.toNearestOrAwayFromZero))))
  }

  /// The processors in the affinity mask of the calling thread, in rising order; empty when the
  /// system does not say.
  package static func allowed() -> [Int] {
    var processors = [Int32](repeating: 0, count: 1_024)
    let count = ck_processors_allowed(&processors, processors.count)
    return processors[..<count].map { Int($0) }
  }

  /// Keeps the calling thread on one processor.
  ///
  /// A refusal is ignored: pinning only saves time.
  static func pinCurrentThread(to processor: Int) {
    ck_processors_pin(Int32(processor))
  }

  /// The smallest CPU quota, in processors, of the control group that `membership` (the text of
  /// `/proc/self/cgroup`) names and of those above it; nil without one.
  ///
  /// `root` is where the groups are mounted. Knows version 2 and the `cpu` controller of version 1.
  package static func quota(root: String, membership: String) -> Double? {
    var quotas: [Double] = []
    for line in membership.split(separator: "\n") {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      let isVersion2 = fields[0] == "0" && fields[1].isEmpty
      guard isVersion2 || fields[1].split(separator: ",").contains("cpu") else { continue }
      let base = isVersion2 ? root : root + "/cpu"
      var path = fields[2].split(separator: "/")
      while true {
        let folder = ([base[...]] + path).joined(separator: "/")
        if let quota = isVersion2 ? quotaVersion2(folder) : quotaVersion1(folder) {
          quotas.append(quota)
        }
        if path.popLast() == nil { break }
      }
    }
    return quotas.min()
  }

  private static func quotaVersion2(_ folder: String) -> Double? {
    guard let fields = read(folder + "/cpu.max")?.split(whereSeparator: \.isWhitespace),
      fields.count == 2, let quota = Double(fields[0]), let period = Double(fields[1]), period > 0,
      quota > 0
    else { return nil }
    return quota / period
  }

  private static func quotaVersion1(_ folder: String) -> Double? {
    func number(_ name: String) -> Double? {
      read("\(folder)/\(name)")?.split(whereSeparator: \.isWhitespace).first.flatMap { Double($0) }
    }
    guard let quota = number("cpu.cfs_quota_us"), let period = number("cpu.cfs_period_us"),
      quota > 0, period > 0
    else { return nil }
    return quota / period
  }

  /// The first 64 KiB of a file as text; nil when it cannot be read.
  private static func read(_ path: String) -> String? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 65_536)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes[..<count], as: UTF8.self)
  }
}
