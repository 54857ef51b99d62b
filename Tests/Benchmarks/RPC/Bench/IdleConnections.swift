import Glibc

/// HTTP/2 connections that have exchanged SETTINGS and do nothing.
struct IdleConnections {
  /// Preface and empty SETTINGS (RFC 9113, 3.4).
  private static let hello =
    Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + [0, 0, 0, 4, 0, 0, 0, 0, 0]

  private var sockets: [Int32] = []

  /// Opens them one after the other, each waiting for the server's first bytes.
  init(_ count: Int, port: Int) throws {
    for _ in 0..<count {
      let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      guard socket >= 0 else { throw failure("socket") }
      sockets.append(socket)
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = in_port_t(port).bigEndian
      address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
      let result = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
      guard result == 0 else { throw failure("connect") }
      guard send(socket, Self.hello, Self.hello.count, 0) == Self.hello.count else {
        throw failure("send")
      }
      var bytes = [UInt8](repeating: 0, count: 256)
      guard recv(socket, &bytes, bytes.count, 0) > 0 else { throw failure("receive") }
    }
  }

  func close() {
    for socket in sockets { _ = Glibc.close(socket) }
  }

  private func failure(_ operation: String) -> RPCBenchError {
    let reason = String(cString: strerror(errno))
    close()
    return RPCBenchError("\(operation) of connection \(sockets.count): \(reason)")
  }

  /// Lets this process and those it starts open so many files.
  static func raiseFileLimit(to count: Int) throws {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    guard limit.rlim_cur < rlim_t(count) else { return }
    limit.rlim_cur = rlim_t(count)
    limit.rlim_max = max(limit.rlim_max, rlim_t(count))
    guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
      throw RPCBenchError("at most \(limit.rlim_max) files may be open")
    }
  }
}
