/// What a session keeps of one stream.
final class HTTP2StreamState {
  /// Fields of the header block being received.
  var fields: [HeaderField] = []
  var fieldsBytes = 0
  var fieldsOversized = false
  /// Whether the head (for a client: the final one, not a 1xx) was received.
  var receivedHead = false
  /// Whether the peer ended its half.
  var receivedEnd = false

  /// Whether our head was submitted; true from the start on the client's side.
  var sentHead: Bool
  /// Whether our head has begun to be sent.
  var headLeft = false
  /// Whether DATA may follow our head.
  var sendsBody: Bool
  /// Whether we reset the stream; nothing more is told about it but its end.
  var isReset = false
  /// Whether the read callback found nothing to send and waits to be resumed.
  var isDeferred = false
  /// Trailers to send after the last byte (none: END_STREAM on DATA); nil while our half is open.
  var ending: [HeaderField]?

  private var outbound: [UInt8] = []
  private var outboundStart = 0
  /// Bytes of DATA sent so far.
  private(set) var sentBytes: UInt64 = 0
  /// Whether the stream went above the high mark and has not come down to the low one.
  private(set) var isCongested = false

  init(sendsBody: Bool, sentHead: Bool = true) {
    self.sendsBody = sendsBody
    self.sentHead = sentHead
  }

  /// Bytes that wait to be sent.
  var pendingBytes: Int { outbound.count - outboundStart }

  /// Bytes of memory that sending holds: what was sent of a message goes when all of it was.
  var heldBytes: Int { outbound.count }

  func enqueue(_ bytes: [UInt8], high: Int) {
    if pendingBytes == 0 {
      // The usual case takes the array over without a copy.
      outbound = bytes
      outboundStart = 0
    } else {
      if outboundStart > 64 * 1024, outboundStart > outbound.count / 2 {
        outbound.removeFirst(outboundStart)
        outboundStart = 0
      }
      outbound.append(contentsOf: bytes)
    }
    if pendingBytes >= high { isCongested = true }
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
    outbound = []
    outboundStart = 0
  }
}
