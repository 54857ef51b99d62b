import Foundation
import Glibc

/// What the kernel alone takes to write to a TCP socket on this machine: no server streams faster.
enum KernelFloor {
  /// Gigabytes per processor second of the thread that writes pieces of `bytes` to a connection over loopback, whose
  /// other end another thread reads.
  static func gigabytesPerCPUSecond(bytes: Int, pieces: Int) throws -> Double {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(listener) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let reader = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    let isConnected = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, length) == 0 && listen(listener, 1) == 0
          && getsockname(listener, $0, &length) == 0 && connect(reader, $0, length) == 0
      }
    }
    guard isConnected else { throw RPCBenchError("loopback: \(String(cString: strerror(errno)))") }
    let writer = accept(listener, nil, nil)
    guard writer >= 0 else { throw RPCBenchError("accept: \(String(cString: strerror(errno)))") }
    Thread {
      var buffer = [UInt8](repeating: 0, count: 1 << 16)
      while read(reader, &buffer, buffer.count) > 0 {}
      close(reader)
    }.start()
    defer { close(writer) }
    let piece = [UInt8](repeating: 1, count: bytes)
    let before = processorSeconds()
    for _ in 0..<pieces {
      guard send(writer, piece, bytes, Int32(MSG_NOSIGNAL)) == bytes else {
        throw RPCBenchError("write: \(String(cString: strerror(errno)))")
      }
    }
    return Double(bytes * pieces) / 1e9 / (processorSeconds() - before)
  }

  /// Of the calling thread.
  private static func processorSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}
