import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Writes log lines to standard error.
///
/// A line is written at once, under a lock, so that lines of several threads never mix. If the
/// reader of a pipe is gone or a non-blocking descriptor is full, the line is dropped: logging must
/// neither end nor hold up a service.
package final class StandardErrorSink: LogSink {
  /// The sink of the process.
  package static let shared = StandardErrorSink()

  private let lock = Mutex(())

  package func write(_ line: [UInt8]) {
    lock.withLock { _ in
      line.withUnsafeBytes { bytes in
        var rest = bytes[...]
        while !rest.isEmpty {
          let count = writeBytes(rest)
          guard count > 0 else { return }
          rest = rest.dropFirst(count)
        }
      }
    }
  }

  /// Writes some of `bytes`, retrying when a signal interrupts; -1 on any other error.
  private func writeBytes(_ bytes: Slice<UnsafeRawBufferPointer>) -> Int {
    while true {
      let count = Self.write(bytes)
      guard count < 0, errno == EINTR else { return count }
    }
  }

  private static func write(_ bytes: Slice<UnsafeRawBufferPointer>) -> Int {
    let whole = UnsafeRawBufferPointer(rebasing: bytes)
    #if canImport(Glibc)
    return Glibc.write(STDERR_FILENO, whole.baseAddress, whole.count)
    #else
    return Musl.write(STDERR_FILENO, whole.baseAddress, whole.count)
    #endif
  }
}
