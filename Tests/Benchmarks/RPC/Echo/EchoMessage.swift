import RPC

/// `message EchoMessage { bytes payload = 1; uint32 count = 2; }`, coded by hand as the Swift peer's
/// is, so that what is measured is the RPC layer.
struct EchoMessage: RPCMessage {
  var payload: [UInt8] = []
  /// How often `Expand` answers.
  var count = 0

  init(payload: [UInt8], count: Int = 0) {
    self.payload = payload
    self.count = count
  }

  init(serialized bytes: UnsafeRawBufferPointer) throws(RPCError) {
    var index = 0
    while index < bytes.count {
      let tag = bytes[index]
      index += 1
      let value = try Self.varint(bytes, &index)
      switch tag {
      case 0x0a:
        guard value <= bytes.count - index else { throw Self.malformed }
        payload = Array(bytes[index..<index + value])
        index += value
      case 0x10: count = value
      default: throw Self.malformed
      }
    }
  }

  func serialize(into output: inout [UInt8]) throws(RPCError) {
    if !payload.isEmpty {
      output.append(0x0a)
      Self.append(payload.count, to: &output)
      output.append(contentsOf: payload)
    }
    if count > 0 {
      output.append(0x10)
      Self.append(count, to: &output)
    }
  }

  private static let malformed = RPCError(.invalidArgument, "not an EchoMessage")

  private static func varint(
    _ bytes: UnsafeRawBufferPointer,
    _ index: inout Int
  ) throws(RPCError) -> Int {
    var value = 0
    for shift in stride(from: 0, to: 35, by: 7) {
      guard index < bytes.count else { throw malformed }
      let byte = bytes[index]
      index += 1
      value |= Int(byte & 0x7f) << shift
      if byte < 0x80 { return value }
    }
    throw malformed
  }

  private static func append(_ value: Int, to output: inout [UInt8]) {
    var rest = value
    while rest >= 0x80 {
      output.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    output.append(UInt8(rest))
  }
}
