import CNghttp2

/// What nghttp2's callbacks work on: streams, events and rate limits of one session.
///
/// Every method with a `handle` runs within `nghttp2_session_mem_recv` or `…_mem_send`.
final class HTTP2SessionState {
  let role: HTTP2Session.Role
  let limits: HTTP2SessionLimits
  @exclusivity(unchecked) var streams = StreamTable<HTTP2StreamState>()
  @exclusivity(unchecked) private(set) var events: [HTTP2Event] = []
  /// Which limit the peer broke.
  private(set) var violation: String?
  /// Which of HTTP/2's rules the peer broke that nghttp2 does not see to.
  var brokenRule: (code: HTTP2ErrorCode, reason: String)?
  var isTerminated = false
  /// Bytes that wait to be sent, over all streams.
  @exclusivity(unchecked) private(set) var heldBytes = 0
  /// The error with which our side gave the connection up.
  private(set) var sentError: HTTP2ErrorCode?
  /// Header blocks so far, with the one that is open.
  @exclusivity(unchecked) private(set) var headerBlocks: UInt64 = 0
  /// Whether a header block is being received.
  @exclusivity(unchecked) private(set) var isHeaderBlockOpen = false
  /// What the open block decompressed to so far.
  @exclusivity(unchecked) private var headerBlockBytes = 0

  @exclusivity(unchecked) private var now: UInt64 = 0
  @exclusivity(unchecked) private var isEntered = false
  @exclusivity(unchecked) private var idleFrames: TokenBucket
  private var earlyResets: TokenBucket
  private var pings: PingStrikes?
  /// Whether HEADERS or DATA were sent since the peer's last PING.
  @exclusivity(unchecked) private var hasSentSincePing = false
  @exclusivity(unchecked) var skippedStreams = SkippedStreams()
  /// The streams' windows when SETTINGS that are being received began.
  @exclusivity(unchecked) var windowsBefore: (initial: Int, widest: Int)?
  @exclusivity(unchecked) private var windowUpdates: WindowUpdateAccount
  @exclusivity(unchecked) private var headers = HeaderCache()
  /// Streams that are gone, whose objects the next ones use.
  @exclusivity(unchecked) private var spares: [HTTP2StreamState] = []
  private static let sparesMax = 128
  /// What those hold.
  var spareBytes: Int { spares.reduce(0) { $0 + $1.capacityBytes } }
  /// The DATA of the events that nobody took yet: one buffer for all.
  @exclusivity(unchecked) private var received: [UInt8] = []
  /// Where the events of that DATA are, and how long each one's is.
  @exclusivity(unchecked) private var receivedData: [(event: Int, bytes: Int)] = []
  @exclusivity(unchecked) private var eventsUsual = 0
  private static let eventsUsualMax = 512
  /// Scratch for header lists, kept to save allocations.
  private var text: [UInt8] = []
  private var pairs: [nghttp2_nv] = []

  init(role: HTTP2Session.Role, limits: HTTP2SessionLimits) {
    self.role = role
    self.limits = limits
    idleFrames = TokenBucket(limits.idleFrames)
    earlyResets = TokenBucket(limits.earlyResets)
    pings = limits.pings.map(PingStrikes.init)
    windowUpdates = WindowUpdateAccount(burst: limits.windowUpdateBurst)
  }

  /// Lets go of what belongs to nghttp2; before the session does.
  func invalidate() {
    headers.removeAll()
  }

  /// What happened since the last call, in order.
  func takeEvents() -> [HTTP2Event] {
    guard !events.isEmpty else { return [] }
    var start = 0
    for (event, bytes) in receivedData {
      guard case .data(let stream, _) = events[event] else { continue }
      events[event] = .data(stream: stream, bytes: received[start..<start + bytes])
      start += bytes
    }
    defer {
      eventsUsual = min(events.count, Self.eventsUsualMax)
      events = []
      receivedData.removeAll(keepingCapacity: true)
    }
    return events
  }

  private func add(_ event: HTTP2Event) {
    // As many as the last time are likely: the array does not grow step by step.
    if events.isEmpty { events.reserveCapacity(eventsUsual) }
    events.append(event)
  }

  func enter(at now: UInt64?) {
    precondition(!isEntered, "HTTP/2 session: entered again from a callback")
    isEntered = true
    if let now { self.now = now }
  }

  func leave() {
    isEntered = false
  }

  // MARK: Received frames

  func beginHeaders(_ frame: nghttp2_frame) {
    let id = frame.hd.stream_id
    headerBlocks += 1
    isHeaderBlockOpen = true
    headerBlockBytes = 0
    guard let stream = streams[id] else {
      guard role == .server, frame.headers.cat == NGHTTP2_HCAT_REQUEST else { return }
      let stream = spares.popLast() ?? HTTP2StreamState(id, sendsBody: false, sentHead: false)
      stream.begin(id)
      stream.openedAt = now
      stream.fields.reserveCapacity(Self.usualFields)
      streams[id] = stream
      windowUpdates.opened()
      return
    }
    stream.fields.removeAll(keepingCapacity: true)
    stream.fieldsBytes = 0
    stream.fieldsOversized = false
  }

  /// The largest header list whose memory is kept.
  private static let keptFieldsBytes = 2_048
  /// The fields of nearly every request.
  private static let usualFields = 12

  func header(_ id: Int32, _ name: OpaquePointer, _ value: OpaquePointer) {
    let nameBytes = nghttp2_rcbuf_get_buf(name)
    let valueBytes = nghttp2_rcbuf_get_buf(value)
    let bytes = nameBytes.len + valueBytes.len + 32
    headerBlockBytes += bytes
    if headerBlockBytes > limits.maxHeaderListBytes * limits.headerBombFactor {
      violate("a header block that decompresses to too much")
    }
    guard let stream = streams[id], !stream.isReset, !stream.fieldsOversized else { return }
    guard stream.fieldsBytes + bytes <= limits.maxHeaderListBytes else {
      stream.fieldsOversized = true
      return
    }
    let field = headers.field(name, nameBytes, value, valueBytes)
    // Bytes that are not UTF-8 take three each in a string.
    stream.fieldsBytes += field.listSize
    guard stream.fieldsBytes <= limits.maxHeaderListBytes else {
      stream.fieldsOversized = true
      return
    }
    stream.fields.append(field)
  }

  func data(_ handle: OpaquePointer, _ id: Int32, _ bytes: UnsafeBufferPointer<UInt8>) {
    // The connection's window is given back at arrival: one slow stream must not stop the others.
    nghttp2_session_consume_connection(handle, bytes.count)
    guard let stream = streams[id], !stream.isReset else { return }
    if receivedData.isEmpty {
      // What was taken is let go of; if somebody still holds it, this is a buffer of its own.
      if received.capacity > Self.receivedKeptBytes { received = [] }
      received.removeAll(keepingCapacity: true)
    }
    received.append(contentsOf: bytes)
    receivedData.append((events.count, bytes.count))
    add(.data(stream: id, bytes: []))
  }

  /// The largest buffer for DATA that is kept for the next.
  private static let receivedKeptBytes = 128 * 1_024

  /// A stream that is reset later is no part of a flood: its client has waited, and so has the next stream.
  private static let earlyResetNanoseconds: UInt64 = 1_000_000_000

  func received(_ frame: nghttp2_frame) {
    let id = frame.hd.stream_id
    let flags = UInt32(frame.hd.flags)
    let endsStream = flags & NGHTTP2_FLAG_END_STREAM.rawValue != 0
    switch UInt32(frame.hd.type) {
    case NGHTTP2_HEADERS.rawValue:
      isHeaderBlockOpen = false
      receivedHeaders(id, endsStream)
    case NGHTTP2_DATA.rawValue:
      if endsStream {
        guard let stream = streams[id] else { return }
        stream.receivedEnd = true
        if !stream.isReset { add(.end(stream: id)) }
      } else if frame.hd.length <= frame.data.padlen {
        // Padding carries nothing either; nghttp2 counts its length byte in.
        charge(&idleFrames, "empty DATA frames")
      }
    case NGHTTP2_RST_STREAM.rawValue:
      if role == .server, let stream = streams[id], !stream.sentHead,
        now < stream.openedAt &+ Self.earlyResetNanoseconds
      {
        charge(&earlyResets, "resets of streams before their response")
      }
    case NGHTTP2_SETTINGS.rawValue:
      guard flags & NGHTTP2_FLAG_ACK.rawValue == 0 else { return }
      add(.settings)
      charge(&idleFrames, "SETTINGS frames")
    case NGHTTP2_PING.rawValue:
      if flags & NGHTTP2_FLAG_ACK.rawValue != 0 {
        add(.pong)
      } else {
        // Peers that estimate the bandwidth answer what they get with a PING (grpc-go, for each DATA frame).
        if !hasSentSincePing { charge(&idleFrames, "PING frames") }
        hasSentSincePing = false
        if pings?.ping(at: now, hasCalls: !streams.isEmpty) == false {
          violate(PingStrikes.debugData)
        }
      }
    case NGHTTP2_WINDOW_UPDATE.rawValue:
      if role == .server, !windowUpdates.received() { violate("too many WINDOW_UPDATE frames") }
    case NGHTTP2_PRIORITY.rawValue: charge(&idleFrames, "PRIORITY frames")
    case NGHTTP2_GOAWAY.rawValue:
      let goAway = frame.goaway
      let debug = UnsafeBufferPointer(start: goAway.opaque_data, count: goAway.opaque_data_len)
      add(
        .goAway(
          lastStream: goAway.last_stream_id,
          code: HTTP2ErrorCode(rawValue: goAway.error_code),
          debug: String(decoding: debug.prefix(256), as: UTF8.self)
        )
      )
    default: break
    }
  }

  private func receivedHeaders(_ id: Int32, _ endsStream: Bool) {
    guard let stream = streams[id] else { return }
    if endsStream { stream.receivedEnd = true }
    let fields = stream.fields
    // The event shares the array for a moment; after that it is the stream's again, for the next.
    if stream.fieldsBytes > Self.keptFieldsBytes { stream.fields = [] }
    guard !stream.isReset else { return }
    if stream.receivedHead {
      add(.trailers(stream: id, fields: fields, oversized: stream.fieldsOversized))
      return
    }
    if role == .client, !endsStream, fields.first(.status)?.hasPrefix("1") == true { return }
    stream.receivedHead = true
    add(
      .head(
        stream: id,
        fields: fields,
        endStream: endsStream,
        oversized: stream.fieldsOversized
      )
    )
  }

  /// A frame that nghttp2 refused.
  ///
  /// It refuses a stream above the limit before it tells of it (and, once the peer has acknowledged
  /// the limit, ends the connection). An error on a stream that is known is charged when its reset
  /// is sent.
  func receivedInvalid(_ frame: nghttp2_frame) {
    isHeaderBlockOpen = false
    guard role == .server, UInt32(frame.hd.type) == NGHTTP2_HEADERS.rawValue,
      streams[frame.hd.stream_id] == nil
    else { return }
    charge(&earlyResets, "streams above the limit")
  }

  /// Notes how many frames wait to be sent: answers to a client that asks and does not read pile
  /// up.
  func checkQueue(_ frames: Int) {
    guard role == .server, frames > limits.queuedFrames else { return }
    violate("too many frames that it does not read")
  }

  func closed(_ id: Int32, _ code: UInt32) {
    guard let stream = streams.removeValue(forKey: id) else { return }
    heldBytes -= stream.heldBytes
    if role == .server, spares.count < Self.sparesMax {
      stream.end()
      spares.append(stream)
    }
    if role == .client, !stream.headLeft { return add(.unsent(stream: id)) }
    add(.closed(stream: id, code: HTTP2ErrorCode(rawValue: code)))
  }

  /// Changes what waits to be sent on a stream.
  func change<R, E: Error>(
    _ stream: HTTP2StreamState,
    _ body: (HTTP2StreamState) throws(E) -> R
  ) throws(E) -> R {
    let before = stream.heldBytes
    defer { heldBytes += stream.heldBytes - before }
    return try body(stream)
  }

  private func charge(_ bucket: inout TokenBucket, _ what: String) {
    if !bucket.take(at: now) { violate("too many \(what)") }
  }

  /// Notes which limit the peer broke; the first one counts.
  func violate(_ reason: String) {
    if violation == nil { violation = reason }
  }

  // MARK: Sent frames

  /// A frame is about to be handed out.
  func sending(_ frame: nghttp2_frame) {
    guard role == .client, UInt32(frame.hd.type) == NGHTTP2_HEADERS.rawValue else { return }
    streams[frame.hd.stream_id]?.headLeft = true
  }

  func sent(_ handle: OpaquePointer, _ frame: nghttp2_frame) {
    let type = UInt32(frame.hd.type)
    let id = frame.hd.stream_id
    if type == NGHTTP2_GOAWAY.rawValue, frame.goaway.error_code != 0 {
      sentError = HTTP2ErrorCode(rawValue: frame.goaway.error_code)
      return
    }
    if type == NGHTTP2_RST_STREAM.rawValue, role == .server {
      // A reset that the peer provoked costs it as much as one of its own (CVE-2025-8671).
      if let stream = streams[id], !stream.isReset {
        charge(&earlyResets, "streams reset because of errors")
      }
      return
    }
    guard type == NGHTTP2_HEADERS.rawValue || type == NGHTTP2_DATA.rawValue else { return }
    pings?.sentData()
    hasSentSincePing = true
    if type == NGHTTP2_DATA.rawValue { windowUpdates.sentData() }
    guard
      UInt32(frame.hd.flags) & NGHTTP2_FLAG_END_STREAM.rawValue != 0,
      role == .server, let stream = streams[id], !stream.receivedEnd, !stream.isReset
    else { return }
    // The response is complete and the request is not: tell the client to stop sending it.
    stream.isReset = true
    nghttp2_submit_rst_stream(
      handle,
      UInt8(NGHTTP2_FLAG_NONE.rawValue),
      id,
      HTTP2ErrorCode.noError.rawValue
    )
  }

  func notSent(_ handle: OpaquePointer, _ frame: nghttp2_frame) {
    // A request that cannot be sent is closed by nghttp2; a response or trailers leave the peer
    // waiting unless the stream is reset.
    guard UInt32(frame.hd.type) == NGHTTP2_HEADERS.rawValue,
      frame.headers.cat != NGHTTP2_HCAT_REQUEST, let stream = streams[frame.hd.stream_id],
      !stream.isReset
    else { return }
    stream.isReset = true
    nghttp2_submit_rst_stream(
      handle,
      UInt8(NGHTTP2_FLAG_NONE.rawValue),
      frame.hd.stream_id,
      HTTP2ErrorCode.internalError.rawValue
    )
  }

  func read(
    _ handle: OpaquePointer,
    _ id: Int32,
    _ target: UnsafeMutableRawBufferPointer,
    _ flags: UnsafeMutablePointer<UInt32>
  ) -> Int {
    guard let stream = streams[id], !stream.isReset else {
      return Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
    }
    let count = change(stream) { $0.dequeue(into: target) }
    if stream.cleared(low: limits.writeLowBytes) { add(.writable(stream: id)) }
    guard stream.pendingBytes == 0, let ending = stream.ending else {
      if count > 0 { return count }
      stream.isDeferred = true
      return Int(NGHTTP2_ERR_DEFERRED.rawValue)
    }
    flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue
    // Trailers are submitted here and nowhere else: earlier, they would overtake the DATA.
    let result: Int32
    switch ending {
    case .data: return count
    case .okStatus:
      flags.pointee |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue
      let fields = StaticFields.okStatus
      result = nghttp2_submit_trailer(handle, id, fields.pairs, fields.count)
    case .trailers(let trailers):
      flags.pointee |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue
      result = withNameValues(trailers) { pairs, count in
        nghttp2_submit_trailer(handle, id, pairs, count)
      }
    }
    return result == 0 ? count : Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
  }

  // MARK: Header lists

  /// Calls `body` with the fields in nghttp2's form, which it copies.
  func withNameValues<R>(
    _ fields: [HeaderField],
    _ body: (UnsafePointer<nghttp2_nv>?, Int) -> R
  ) -> R {
    text.removeAll(keepingCapacity: true)
    for field in fields {
      text.append(contentsOf: field.name.utf8)
      text.append(contentsOf: field.value.utf8)
    }
    return text.withUnsafeMutableBufferPointer { bytes in
      pairs.removeAll(keepingCapacity: true)
      var offset = 0
      for field in fields {
        let nameCount = field.name.utf8.count
        let valueCount = field.value.utf8.count
        pairs.append(
          nghttp2_nv(
            name: bytes.baseAddress.map { $0 + offset },
            value: bytes.baseAddress.map { $0 + offset + nameCount },
            namelen: nameCount,
            valuelen: valueCount,
            flags: Self.flags(field.name)
          )
        )
        offset += nameCount + valueCount
      }
      return pairs.withUnsafeBufferPointer { body($0.baseAddress, $0.count) }
    }
  }

  /// Fields whose value changes with every call stay out of the compression table.
  private static func flags(_ name: String) -> UInt8 {
    switch name {
    case "grpc-timeout", "grpc-message", "traceparent", "x-request-id", "authorization":
      UInt8(NGHTTP2_NV_FLAG_NO_INDEX.rawValue)
    default: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue)
    }
  }
}
