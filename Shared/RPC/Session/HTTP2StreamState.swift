/// What a session keeps of one stream.
///
/// A session uses the objects of streams that are gone again: `begin` makes them as new.
final class HTTP2StreamState: StreamOwned {
  @exclusivity(unchecked) private(set) var stream: Int32
  /// When the peer opened it, in nanoseconds of the session's clock.
  @exclusivity(unchecked) var openedAt: UInt64 = 0
  /// Fields of the header block being received.
  @exclusivity(unchecked) var fields: [HeaderField] = []
  @exclusivity(unchecked) var fieldsBytes = 0
  @exclusivity(unchecked) var fieldsOversized = false
  /// Whether the head (for a client: the final one, not a 1xx) was received.
  @exclusivity(unchecked) var receivedHead = false
  /// Whether the peer ended its half.
  @exclusivity(unchecked) var receivedEnd = false

  /// Whether our head was submitted; true from the start on the client's side.
  @exclusivity(unchecked) var sentHead: Bool
  /// Whether our head has begun to be sent.
  var headLeft = false
  /// Whether DATA may follow our head.
  @exclusivity(unchecked) var sendsBody: Bool
  /// Whether we reset the stream; nothing more is told about it but its end.
  @exclusivity(unchecked) var isReset = false
  /// Whether the read callback found nothing to send and waits to be resumed.
  @exclusivity(unchecked) var isDeferred = false
  /// Trailers to send after the last byte (none: END_STREAM on DATA); nil while our half is open.
  @exclusivity(unchecked) var ending: HTTP2Ending?

  /// The largest memory for sending that is kept for the next message or stream.
  private static let keptBytes = 4_096

  @exclusivity(unchecked) private var outbound: [UInt8] = []
  @exclusivity(unchecked) private var outboundStart = 0
  /// Bytes of DATA sent so far.
  @exclusivity(unchecked) private(set) var sentBytes: UInt64 = 0
  /// Whether the stream went above the high mark and has not come down to the low one.
  @exclusivity(unchecked) private(set) var isCongested = false

  init(_ stream: Int32, sendsBody: Bool, sentHead: Bool = true) {
    self.stream = stream
    self.sendsBody = sendsBody
    self.sentHead = sentHead
  }

  /// Forgets the stream it stood for and stands for another, which a peer opened.
  func begin(_ stream: Int32) {
    self.stream = stream
    fields.removeAll(keepingCapacity: true)
    fieldsBytes = 0
    fieldsOversized = false
    receivedHead = false
    receivedEnd = false
    headLeft = false
    sentHead = false
    sendsBody = false
    isReset = false
    isDeferred = false
    ending = nil
    isCongested = false
    sentBytes = 0
    outboundStart = 0
    // What a large message took is not kept.
    outbound.removeAll(keepingCapacity: outbound.capacity <= Self.keptBytes)
  }

  /// The most fields for which memory is kept.
  private static let keptFields = 64

  /// Lets go of what the stream held, but for a little memory that the next one needs.
  func end() {
    if fields.capacity > Self.keptFields {
      fields = []
    } else {
      fields.removeAll(keepingCapacity: true)
    }
    ending = nil
    dropOutbound()
  }

  /// Bytes of memory that it holds.
  var capacityBytes: Int { outbound.capacity + fields.capacity * MemoryLayout<HeaderField>.stride }

  /// Bytes that wait to be sent.
  var pendingBytes: Int { outbound.count - outboundStart }

  /// Bytes of memory that sending holds: what was sent of a message goes when all of it was.
  var heldBytes: Int { outbound.count }

  func enqueue(_ bytes: [UInt8], high: Int) {
    if pendingBytes == 0, bytes.count > Self.keptBytes {
      // A large message is taken over without a copy.
      outbound = bytes
      outboundStart = 0
    } else {
      compact()
      outbound.append(contentsOf: bytes)
    }
    if pendingBytes >= high { isCongested = true }
  }

  /// Lets `body` append to what waits; what it appended is taken back when it throws.
  func enqueue(
    high: Int,
    _ body: (inout [UInt8]) throws(RPCError) -> Void
  ) throws(RPCError) {
    compact()
    let count = outbound.count
    do throws(RPCError) {
      try body(&outbound)
    } catch {
      outbound.removeSubrange(count...)
      throw error
    }
    if pendingBytes >= high { isCongested = true }
  }

  private func compact() {
    guard outboundStart > 64 * 1024, outboundStart > outbound.count / 2 else { return }
    outbound.removeFirst(outboundStart)
    outboundStart = 0
  }

  /// Copies bytes that wait into `target`; returns how many.
  func dequeue(into target: UnsafeMutableRawBufferPointer) -> Int {
    let count = min(pendingBytes, target.count)
    guard count > 0 else { return 0 }
    outbound.withUnsafeBytes { bytes in
      target.copyMemory(
        from: UnsafeRawBufferPointer(rebasing: bytes[outboundStart...].prefix(count))
      )
    }
    outboundStart += count
    sentBytes &+= UInt64(count)
    if pendingBytes == 0 { dropOutbound() }
    return count
  }

  /// Whether the stream has just come down to the low mark.
  func cleared(low: Int) -> Bool {
    guard isCongested, pendingBytes <= low else { return false }
    isCongested = false
    return true
  }

  func dropOutbound() {
    outbound.removeAll(keepingCapacity: outbound.capacity <= Self.keptBytes)
    outboundStart = 0
  }
}

/// How our half of a stream ends, after the last byte.
enum HTTP2Ending {
  /// With END_STREAM on DATA.
  case data
  /// With trailers of one field, `grpc-status: 0`, which is how nearly every call ends.
  case okStatus
  /// With trailers.
  case trailers([HeaderField])
}
