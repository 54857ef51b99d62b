/// gRPC's length-prefixed messages: one flag byte, four bytes of length, the message.
enum MessageFraming {
  /// Bytes before each message.
  static let prefixBytes = 5

  /// The message with its prefix; throws RESOURCE_EXHAUSTED above the wire's 4 GiB.
  ///
  /// A message that gzip would not make shorter goes as it is: the flag says so.
  static func frame(
    _ message: some RPCMessage,
    _ encoding: MessageEncoding = .identity
  ) throws(RPCError) -> [UInt8] {
    var output: [UInt8] = []
    try append(message, encoding, to: &output)
    return output
  }

  /// Appends the message with its prefix.
  ///
  /// What was appended before it throws is the caller's to remove.
  static func append(
    _ message: some RPCMessage,
    _ encoding: MessageEncoding = .identity,
    to output: inout [UInt8]
  ) throws(RPCError) {
    let start = output.count
    for _ in 0..<prefixBytes { output.append(0) }
    try message.serialize(into: &output)
    if encoding == .gzip,
      let compressed = Gzip.compress(output[(start + prefixBytes)...], prefix: prefixBytes)
    {
      output.replaceSubrange(start..., with: compressed)
      output[start] = 1
    }
    guard let length = UInt32(exactly: output.count - start - prefixBytes) else {
      throw RPCError(.resourceExhausted, "message: \(output.count) bytes do not fit the wire")
    }
    for index in 1...4 {
      output[start + index] = UInt8(truncatingIfNeeded: length >> (32 - 8 * index))
    }
  }
}

/// Cuts a stream of DATA bytes into messages.
///
/// DATA boundaries mean nothing to it.
struct MessageDeframer {
  private let maxMessageBytes: Int
  private let decoding: MessageDecoding
  /// Bytes of a message, with its prefix, that is not complete yet.
  private var partial: [UInt8] = []

  init(maxMessageBytes: Int, decoding: MessageDecoding = .none) {
    self.maxMessageBytes = maxMessageBytes
    self.decoding = decoding
  }

  /// Bytes held of a message that has begun and not ended.
  var partialBytes: Int { partial.count }

  /// Whether a message has begun and not ended.
  var isMidMessage: Bool { !partial.isEmpty }

  /// Takes bytes and hands over each message that they complete.
  ///
  /// Throws RESOURCE_EXHAUSTED for a message above the limit, as soon as its prefix is there, and
  /// INTERNAL for an unknown flag or a compressed message where no known encoding was named.
  mutating func append(
    _ chunk: ArraySlice<UInt8>,
    _ body: (ReceivedMessage) throws(RPCError) -> Void
  ) throws(RPCError) {
    var rest = chunk
    while !rest.isEmpty {
      if partial.isEmpty, let length = try prefix(of: rest),
        rest.count - MessageFraming.prefixBytes >= length
      {
        // The usual case: the message lies whole within the chunk and is not copied.
        let start = rest.startIndex + MessageFraming.prefixBytes
        try body(
          ReceivedMessage(
            bytes: rest[start..<start + length],
            isCompressed: rest[rest.startIndex] == 1
          )
        )
        rest = rest[(start + length)...]
        continue
      }
      rest = try accumulate(rest, body)
    }
  }

  /// The same, of an array.
  mutating func append(
    _ chunk: [UInt8],
    _ body: (ReceivedMessage) throws(RPCError) -> Void
  ) throws(RPCError) {
    try append(chunk[...], body)
  }

  private mutating func accumulate(
    _ bytes: ArraySlice<UInt8>,
    _ body: (ReceivedMessage) throws(RPCError) -> Void
  ) throws(RPCError) -> ArraySlice<UInt8> {
    var rest = bytes
    if partial.count < MessageFraming.prefixBytes {
      let head = rest.prefix(MessageFraming.prefixBytes - partial.count)
      partial.append(contentsOf: head)
      rest = rest.dropFirst(head.count)
    }
    guard let length = try prefix(of: partial[...]) else { return rest }
    let missing = MessageFraming.prefixBytes + length - partial.count
    // Memory grows with the bytes that came, not with the length that was claimed.
    let part = rest.prefix(missing)
    partial.append(contentsOf: part)
    rest = rest.dropFirst(part.count)
    if part.count == missing {
      let whole = partial
      partial = []
      try body(
        ReceivedMessage(bytes: whole[MessageFraming.prefixBytes...], isCompressed: whole[0] == 1)
      )
    }
    return rest
  }

  private func prefix(of bytes: ArraySlice<UInt8>) throws(RPCError) -> Int? {
    guard bytes.count >= MessageFraming.prefixBytes else { return nil }
    let start = bytes.startIndex
    switch bytes[start] {
    case 0: break
    case 1: try checkCompressed()
    default: throw RPCError(.internal, "message: unknown flag \(bytes[start])")
    }
    let length = bytes[(start + 1)..<(start + 5)].reduce(0) { $0 << 8 | Int($1) }
    guard length <= maxMessageBytes else {
      throw RPCError(
        .resourceExhausted,
        "message: \(length) bytes, but at most \(maxMessageBytes) are received"
      )
    }
    return length
  }

  private func checkCompressed() throws(RPCError) {
    switch decoding {
    case .gzip: break
    case .none:
      throw RPCError(.internal, "message: compressed, but no grpc-encoding was agreed on")
    case .unknown(let name):
      throw RPCError(.internal, "message: compressed by '\(name)', which is not known here")
    }
  }
}
