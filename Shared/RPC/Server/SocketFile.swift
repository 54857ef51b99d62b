import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The file of a listening socket of the Unix domain, told from one that another server has put in its place.
///
/// NIO's own binding removes whatever is at the path when the socket is closed.
struct SocketFile: Sendable {
  private let path: String
  private let device: dev_t
  private let inode: ino_t

  /// Binds a socket to a path, of which a socket that is there is removed.
  ///
  /// Throws `IOError`, or `SocketAddressError` for a path that is too long.
  static func bind(_ path: String) throws -> (file: SocketFile, descriptor: CInt) {
    let address = try SocketAddress(unixDomainSocketPath: path)
    var status = stat()
    if lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK { unlink(path) }
    #if os(Linux)
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    #else
    let descriptor = socket(AF_UNIX, SOCK_STREAM, 0)
    #endif
    guard descriptor >= 0 else { throw IOError(errnoCode: errno, reason: "socket") }
    let result = address.withSockAddr { pointer, size in
      systemBind(descriptor, pointer, socklen_t(size))
    }
    guard result == 0, lstat(path, &status) == 0 else {
      let error = IOError(errnoCode: errno, reason: "bind")
      close(descriptor)
      throw error
    }
    return (SocketFile(path: path, device: status.st_dev, inode: status.st_ino), descriptor)
  }

  /// Removes the file, if it is still this one.
  func remove() {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_dev == device, status.st_ino == inode else { return }
    unlink(path)
  }
}

/// `bind` of the system, which within `SocketFile` is another function.
private let systemBind: @Sendable (CInt, UnsafePointer<sockaddr>, socklen_t) -> CInt = {
  bind($0, $1, $2)
}
