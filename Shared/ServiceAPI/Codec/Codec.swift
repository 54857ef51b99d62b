package import CProtobufC
package import RPC

/// The way between bytes and messages: check, unpack with protobuf-c into an arena, copy; and back.
package enum Codec {
  /// The most bytes one encoded message may have, the wire format's own bound.
  package static let encodedBytesMax = Int(Int32.max)

  /// Decodes one message.
  ///
  /// `copy` turns the C struct, which lives until it returns, into a value.
  package static func decode<C, Message>(
    _ bytes: UnsafeRawBufferPointer,
    as descriptor: UnsafePointer<ProtobufCMessageDescriptor>,
    _ copy: (UnsafePointer<C>) -> Message
  ) throws(RPCError) -> Message {
    let arenaBytes = try WireCheck.check(bytes, as: descriptor)
    var arena = Arena(
      firstBytes: arenaBytes,
      limitBytes: WireCheck.memoryBytesMax(encodedBytes: bytes.count)
    )
    guard let message = unpack(bytes, as: descriptor, in: &arena) else {
      throw RPCError(
        .invalidArgument,
        "\(String(cString: descriptor.pointee.name)): not a valid message"
      )
    }
    // SAFETY: protobuf-c returns the struct that `descriptor` describes, and the generated code
    // passes the descriptor of `C`.
    return copy(UnsafeRawPointer(message).assumingMemoryBound(to: C.self))
  }

  /// Appends the encoding of the C struct `message` to `output`.
  package static func encode<C>(
    _ message: UnsafeMutablePointer<C>,
    into output: inout [UInt8]
  )
    throws(RPCError)
  {
    // SAFETY: every struct of protobuf-c starts with a ProtobufCMessage, its base.
    let base = UnsafeRawPointer(message).assumingMemoryBound(to: ProtobufCMessage.self)
    let size = protobuf_c_message_get_packed_size(base)
    guard size <= encodedBytesMax else {
      throw RPCError(
        .resourceExhausted,
        "encode: a message of \(size) bytes, at most \(encodedBytesMax)"
      )
    }
    let start = output.count
    output.append(contentsOf: repeatElement(0, count: size))
    output.withUnsafeMutableBufferPointer { buffer in
      guard size > 0, let first = buffer.baseAddress else { return }
      let written = protobuf_c_message_pack(base, first + start)
      precondition(written == size, "protobuf-c wrote \(written) of \(size) bytes")
    }
  }

  /// Unpacks bytes that have passed `WireCheck` into `arena`; nil if protobuf-c refuses them.
  package static func unpack(
    _ bytes: UnsafeRawBufferPointer,
    as descriptor: UnsafePointer<ProtobufCMessageDescriptor>,
    in arena: inout Arena
  ) -> UnsafeMutablePointer<ProtobufCMessage>? {
    withUnsafeMutablePointer(to: &arena) { arena in
      // SAFETY: the allocator does not outlive this closure, so `arena` stays valid. Nothing is
      // freed one by one: the arena goes as a whole.
      var allocator = ProtobufCAllocator(
        alloc: { arena, size in
          arena?.assumingMemoryBound(to: Arena.self).pointee.allocate(byteCount: size)
        },
        free: { _, _ in },
        allocator_data: UnsafeMutableRawPointer(arena)
      )
      return protobuf_c_message_unpack(
        descriptor,
        &allocator,
        bytes.count,
        bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
      )
    }
  }
}
