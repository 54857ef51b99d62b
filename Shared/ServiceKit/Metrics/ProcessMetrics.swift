import Foundation

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// What the kernel says about this process, read from Linux's `/proc/self`.
enum ProcessMetrics {
  /// Most descriptors that are counted.
  static let descriptorsMax = 1 << 20

  /// Adds `process_…` metrics, named as in the Prometheus client libraries.
  static func register(in metrics: MetricsRegistry) {
    metrics.gauge(
      "process_resident_memory_bytes",
      help: "Resident memory size in bytes.",
      read: residentMemoryBytes
    )
    metrics.gauge(
      "process_virtual_memory_bytes",
      help: "Virtual memory size in bytes.",
      read: virtualMemoryBytes
    )
    metrics.counter(
      "process_cpu_seconds_total",
      help: "Total user and system CPU time spent in seconds.",
      read: cpuSeconds
    )
    let start = startTimeSeconds()
    metrics.gauge(
      "process_start_time_seconds",
      help: "Start time of the process since unix epoch in seconds.",
      read: { start }
    )
    metrics.gauge(
      "process_open_fds",
      help: "Number of open file descriptors.",
      read: openDescriptors
    )
    metrics.gauge(
      "process_max_fds",
      help: "Maximum number of open file descriptors.",
      read: descriptorLimit
    )
  }

  @Sendable private static func residentMemoryBytes() -> Double { memoryPages(field: 1) }
  @Sendable private static func virtualMemoryBytes() -> Double { memoryPages(field: 0) }

  /// proc(5), `/proc/pid/statm`: size, resident, … in pages.
  private static func memoryPages(field: Int) -> Double {
    let fields = read("/proc/self/statm").split(whereSeparator: \.isWhitespace)
    guard field < fields.count, let pages = Double(fields[field]) else { return .nan }
    return pages * Double(sysconf(Int32(_SC_PAGESIZE)))
  }

  @Sendable private static func cpuSeconds() -> Double {
    var time = timespec()
    guard clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 else { return .nan }
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  /// proc(5): field 22 of `/proc/pid/stat`, in clock ticks since boot (`btime` of `/proc/stat`).
  private static func startTimeSeconds() -> Double {
    // The second field, the command in parentheses, may itself hold blanks and parentheses.
    let stat = read("/proc/self/stat")
    guard let end = stat.lastIndex(of: ")") else { return .nan }
    let fields = stat[stat.index(after: end)...].split(separator: " ")
    let boot = read("/proc/stat").split(separator: "\n")
      .first { $0.hasPrefix("btime ") }.flatMap { Double($0.dropFirst(6)) }
    guard fields.count > 19, let ticks = Double(fields[19]), let boot else { return .nan }
    return boot + ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
  }

  @Sendable private static func openDescriptors() -> Double {
    guard let folder = opendir("/proc/self/fd") else { return .nan }
    defer { closedir(folder) }
    var count = 0
    while count < descriptorsMax, readdir(folder) != nil { count += 1 }
    // Without ".", ".." and the descriptor of the listing itself.
    return Double(count - 3)
  }

  @Sendable private static func descriptorLimit() -> Double {
    // "Max open files   <soft>   <hard>   files"; getrlimit's constants differ between C libraries.
    let line = read("/proc/self/limits").split(separator: "\n").first {
      $0.hasPrefix("Max open files")
    }
    let fields = line?.split(separator: " ") ?? []
    return fields.count > 3 ? Double(fields[3]) ?? .infinity : .nan
  }

  private static func read(_ path: String) -> String {
    (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
  }
}
