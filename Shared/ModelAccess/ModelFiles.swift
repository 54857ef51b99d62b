import Crypto
package import RPC
package import ServiceAPI
import SystemPackage

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Checks the files of a registered model against what the registry says of them.
package enum ModelFiles {
  /// Bytes that are read at once.
  static let chunkBytes = 1 << 20

  /// Checks the size and the digest of each file of `version` that `isWanted` names.
  ///
  /// Reads them whole, so it takes about a second per gigabyte; call it off the event loops. Throws DATA_LOSS naming
  /// the model and the file.
  package static func verify(
    _ version: RegistryV1.ModelVersion,
    where isWanted: (String) -> Bool = { _ in true }
  ) throws(RPCError) {
    for file in version.files where isWanted(file.name) {
      let fault: String
      do {
        let found = try digest(of: FilePath(version.path).appending(file.name))
        guard found != file.sha256 else { continue }
        fault = "has the SHA-256 \(found); the registry says \(file.sha256)"
      } catch {
        fault = "cannot be read: \(error)"
      }
      throw RPCError(
        .dataLoss,
        "model \(version.name)@\(version.version): the file \(file.name) \(fault)"
      )
    }
  }

  /// The SHA-256 of a file in lower-case hexadecimal.
  static func digest(of path: FilePath) throws -> String {
    // What was put in a file's place must not hold this up: opening a pipe waits for its writer
    // unless told not to, and a device may have no end.
    let file = try FileDescriptor.open(
      path,
      .readOnly,
      options: [.closeOnExec, .noFollow, .nonBlocking]
    )
    defer { try? file.close() }
    var status = stat()
    guard fstat(file.rawValue, &status) == 0 else { throw Errno(rawValue: errno) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw Errno.invalidArgument }
    var hash = SHA256()
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: chunkBytes, alignment: 64)
    defer { buffer.deallocate() }
    while true {
      let count = try file.read(into: buffer)
      guard count > 0 else { break }
      hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
    }
    let digits = Array("0123456789abcdef".utf8)
    return String(
      decoding: hash.finalize().flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] },
      as: UTF8.self
    )
  }
}
