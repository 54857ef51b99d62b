#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// What the file system of a service's folder has room for.
package enum StorageMetrics {
  /// Adds `llmos_storage_size_bytes` and `llmos_storage_available_bytes` for the file system that holds `folder`.
  ///
  /// NaN while the system does not tell. For the owner of a store alone: a reader of somebody else's folder would
  /// show the same disk again.
  package static func register(folder: String, in metrics: MetricsRegistry) {
    metrics.gauge(
      "llmos_storage_size_bytes",
      help: "Size of the file system that holds the service's folder."
    ) { bytes(of: folder) { $0.f_blocks } }
    metrics.gauge(
      "llmos_storage_available_bytes",
      help: "Bytes that the service can still write to the file system of its folder."
    ) { bytes(of: folder) { $0.f_bavail } }
  }

  /// statvfs(3): blocks are counted in units of `f_frsize`.
  private static func bytes(of folder: String, _ blocks: (statvfs) -> fsblkcnt_t) -> Double {
    var system = statvfs()
    guard statvfs(folder, &system) == 0 else { return .nan }
    return Double(blocks(system)) * Double(system.f_frsize)
  }
}
