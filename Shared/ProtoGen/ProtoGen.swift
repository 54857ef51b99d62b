import CDescriptor

#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

/// The executable `protoc-gen-llmos-swift`: protoc starts it, writes a request to its standard
/// input and reads the response from its standard output.
@main
enum ProtoGen {
  /// The most bytes a request may have.
  private static let requestBytesMax = 256 << 20
  private static let chunkBytes = 64 << 10

  static func main() {
    do {
      try writeAll(try Plugin.respond(to: try readAll()), to: STDOUT_FILENO)
    } catch {
      try? writeAll(Array("protoc-gen-llmos-swift: \(error.message)\n".utf8), to: STDERR_FILENO)
      exit(1)
    }
  }

  private static func readAll() throws(ProtoGenError) -> [UInt8] {
    var request: [UInt8] = []
    while true {
      var result = 0
      let chunk = [UInt8](unsafeUninitializedCapacity: chunkBytes) { buffer, count in
        result = read(STDIN_FILENO, buffer.baseAddress, buffer.count)
        count = max(result, 0)
      }
      guard result >= 0 else { throw ProtoGenError(.badRequest, "read: errno \(errno)") }
      guard result > 0 else { return request }
      request += chunk
      guard request.count <= requestBytesMax else {
        throw ProtoGenError(.badRequest, "the request has more than \(requestBytesMax) bytes")
      }
    }
  }

  private static func writeAll(_ bytes: [UInt8], to file: Int32) throws(ProtoGenError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let written = rest.withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
      guard written > 0 else { throw ProtoGenError(.badRequest, "write: errno \(errno)") }
      rest = rest.dropFirst(written)
    }
  }
}
