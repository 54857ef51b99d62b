import RPC

/// The simplest message: its encoding is its bytes.
///
/// Bytes that begin with 0xFF are malformed.
struct Bytes: RPCMessage, Equatable, ExpressibleByStringLiteral {
  var bytes: [UInt8]

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  init(_ text: String) {
    bytes = Array(text.utf8)
  }

  init(stringLiteral text: String) {
    bytes = Array(text.utf8)
  }

  init(serialized bytes: UnsafeRawBufferPointer) throws(RPCError) {
    guard bytes.first != 0xff else { throw RPCError(.invalidArgument, "bytes: begin with 0xFF") }
    self.bytes = Array(bytes)
  }

  func serialize(into output: inout [UInt8]) throws(RPCError) {
    output.append(contentsOf: bytes)
  }

  var text: String { String(decoding: bytes, as: UTF8.self) }
}
