import CNghttp2

/// An HTTP/2 connection without input or output: bytes in, bytes and events out.
///
/// It wraps an nghttp2 session and knows no socket, thread or clock. Not thread-safe: confined to
/// one event loop (or test). Received bytes go into `receive`, what is to be sent comes out of
/// `drain`, what happened is in `takeEvents`. nghttp2 must not be re-entered from its callbacks, so
/// callbacks only append to the state and `receive` and `drain` refuse to nest.
final class HTTP2Session {
  enum Role: Sendable { case client, server }

  let role: Role
  let limits: HTTP2SessionLimits
  /// What the callbacks work on.
  ///
  /// nghttp2 holds it unretained: it is freed after the session.
  private let state: HTTP2SessionState
  private let handle: OpaquePointer
  /// What nghttp2 allocates from; freed after the session, too.
  private let memory = SessionMemory()

  /// Creates a session whose first bytes (preface, SETTINGS) are ready to drain.
  init(role: Role, limits: HTTP2SessionLimits = HTTP2SessionLimits()) throws(HTTP2SessionError) {
    self.role = role
    self.limits = limits
    state = HTTP2SessionState(role: role, limits: limits)
    handle = try Self.makeHandle(role: role, limits: limits, state: state, memory: memory)
    try submitSettings()
  }

  deinit {
    state.invalidate()
    nghttp2_session_del(handle)
  }

  // MARK: Bytes

  /// Takes bytes from the peer.
  ///
  /// `now`, in nanoseconds of a monotonic clock, feeds the rate limits.
  ///
  /// Throws when the connection cannot go on; what is left to send (a GOAWAY) should still be.
  func receive(_ bytes: UnsafeRawBufferPointer, at now: UInt64) throws(HTTP2SessionError) {
    guard let base = bytes.baseAddress, !state.isTerminated else { return }
    state.enter(at: now)
    let count = nghttp2_session_mem_recv(
      handle,
      base.assumingMemoryBound(to: UInt8.self),
      bytes.count
    )
    state.leave()
    if count >= 0 {
      state.checkQueue(nghttp2_session_get_outbound_queue_size(handle))
    } else if let rule = state.brokenRule {
      terminate(rule.code, debug: rule.reason)
      let number = Int32(NGHTTP2_ERR_PROTO.rawValue)
      throw HTTP2SessionError(operation: "HTTP/2 receive, \(rule.reason)", number: number)
    } else if state.violation == nil {
      let error = HTTP2SessionError(operation: "HTTP/2 receive", number: Int32(count))
      guard let reason = error.flood else {
        if role == .server { terminate(.protocolError, debug: "") }
        throw error
      }
      state.violate(reason)
    }
    if let violation = state.violation { terminate(.enhanceYourCalm, debug: violation) }
  }

  /// Hands frames that are ready to be sent to `body`, until it got `limit` bytes or more.
  ///
  /// Returns whether there may be more. The bytes are valid during `body` alone.
  func drain(
    upTo limit: Int,
    _ body: (UnsafeRawBufferPointer) -> Void
  ) throws(HTTP2SessionError)
    -> Bool
  {
    var total = 0
    while total < limit {
      if state.isTerminated, state.sentError != nil { return false }
      var pointer: UnsafePointer<UInt8>?
      state.enter(at: nil)
      let count = nghttp2_session_mem_send(handle, &pointer)
      state.leave()
      guard count >= 0 else {
        throw HTTP2SessionError(operation: "HTTP/2 send", number: Int32(count))
      }
      guard count > 0, let pointer else {
        // What was sent may be more than the peer may make us send.
        guard let violation = state.violation, !state.isTerminated else { return false }
        terminate(.enhanceYourCalm, debug: violation)
        continue
      }
      body(UnsafeRawBufferPointer(start: pointer, count: count))
      total += count
    }
    return true
  }

  /// Appends every frame that is ready to be sent.
  func drain(into output: inout [UInt8]) throws(HTTP2SessionError) {
    _ = try drain(upTo: .max) { output.append(contentsOf: $0) }
  }

  /// What happened since the last call, in order.
  func takeEvents() -> [HTTP2Event] { state.takeEvents() }

  /// Whether there are frames to drain.
  var wantsWrite: Bool { nghttp2_session_want_write(handle) != 0 }

  /// Whether the connection has nothing left to do and is to be closed.
  var isFinished: Bool {
    if state.isTerminated { return state.sentError != nil }
    return !wantsWrite && nghttp2_session_want_read(handle) == 0
  }

  /// Which limit the peer broke; the session then ends with ENHANCE_YOUR_CALM.
  var violation: String? { state.violation }

  /// The error with which our side gave the connection up, because of what the peer sent.
  var sentError: HTTP2ErrorCode? { state.sentError }

  // MARK: Streams

  /// Opens a stream (client).
  ///
  /// Returns its id, or nil when the connection has no id left.
  func submitRequest(_ fields: [HeaderField], endStream: Bool) -> Int32? {
    let id = withProvider(endStream) { provider in
      state.withNameValues(fields) { pairs, count in
        nghttp2_submit_request(handle, nil, pairs, count, provider, nil)
      }
    }
    guard id > 0 else { return nil }
    state.streams[id] = HTTP2StreamState(id, sendsBody: !endStream)
    return id
  }

  /// Sends a response's head (server).
  ///
  /// With `endStream` it is the whole response.
  func submitResponse(_ stream: Int32, _ fields: [HeaderField], endStream: Bool) {
    guard let entry = state.streams[stream], !entry.isReset, !entry.sentHead else { return }
    entry.sentHead = true
    entry.sendsBody = !endStream
    let result = withProvider(endStream) { provider in
      state.withNameValues(fields) { pairs, count in
        nghttp2_submit_response(handle, stream, pairs, count, provider)
      }
    }
    if result != 0 { reset(stream, .internalError) }
  }

  /// Sends the head of gRPC's responses without metadata (server); messages and a status follow.
  func submitResponseHead(_ stream: Int32) {
    guard let entry = state.streams[stream], !entry.isReset, !entry.sentHead else { return }
    entry.sentHead = true
    entry.sendsBody = true
    let fields = StaticFields.responseHead
    let result = withProvider(false) { provider in
      nghttp2_submit_response(handle, stream, fields.pairs, fields.count, provider)
    }
    if result != 0 { reset(stream, .internalError) }
  }

  /// Appends what `body` writes to what the stream sends; nothing when it throws.
  func send(
    _ stream: Int32,
    _ body: (inout [UInt8]) throws(RPCError) -> Void
  ) throws(RPCError) {
    guard let entry = state.streams[stream], entry.sendsBody, !entry.isReset, entry.ending == nil
    else { return }
    try state.change(entry) { entry throws(RPCError) in
      try entry.enqueue(high: limits.writeHighBytes, body)
    }
    resume(stream, entry)
  }

  /// Ends our half of the stream once everything is sent, with a status of OK and nothing else.
  func finishOK(_ stream: Int32) {
    guard let entry = state.streams[stream], entry.sendsBody, !entry.isReset, entry.ending == nil
    else { return }
    entry.ending = .okStatus
    resume(stream, entry)
  }

  /// Appends bytes to what the stream sends.
  func send(_ stream: Int32, _ bytes: [UInt8]) {
    guard let entry = state.streams[stream], entry.sendsBody, !entry.isReset, entry.ending == nil
    else { return }
    state.change(entry) { $0.enqueue(bytes, high: limits.writeHighBytes) }
    resume(stream, entry)
  }

  /// Ends our half of the stream once everything is sent: with trailers, or with an empty DATA.
  func finish(_ stream: Int32, trailers: [HeaderField]) {
    guard let entry = state.streams[stream], entry.sendsBody, !entry.isReset, entry.ending == nil
    else { return }
    entry.ending = trailers.isEmpty ? .data : .trailers(trailers)
    resume(stream, entry)
  }

  /// Resets the stream.
  ///
  /// Its `closed` event comes once the frame is drained.
  func reset(_ stream: Int32, _ code: HTTP2ErrorCode) {
    guard let entry = state.streams[stream], !entry.isReset else { return }
    entry.isReset = true
    state.change(entry) { $0.dropOutbound() }
    nghttp2_submit_rst_stream(handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream, code.rawValue)
  }

  /// Gives the peer back window for that many bytes of the stream.
  func consume(_ stream: Int32, _ bytes: Int) {
    guard bytes > 0, state.streams[stream] != nil else { return }
    nghttp2_session_consume_stream(handle, stream, bytes)
  }

  /// Bytes that the objects of streams hold that are gone; for tests.
  var spareBytes: Int { state.spareBytes }

  /// Bytes that wait to be sent on the stream; zero for one that is gone.
  func pendingBytes(_ stream: Int32) -> Int { state.streams[stream]?.pendingBytes ?? 0 }

  /// The streams on which bytes wait, with how many bytes each sent so far.
  var waitingStreams: [Int32: UInt64] {
    var sent: [Int32: UInt64] = [:]
    for stream in state.streams.values where stream.pendingBytes > 0 {
      sent[stream.stream] = stream.sentBytes
    }
    return sent
  }

  /// The number of the header block that is being received, if one is.
  var openHeaderBlock: UInt64? { state.isHeaderBlockOpen ? state.headerBlocks : nil }

  /// Bytes that wait to be sent on all streams.
  var heldBytes: Int { state.heldBytes }

  /// Whether the stream reached its high mark and has not come down to the low one since.
  ///
  /// When it has, `writable` tells so.
  func isCongested(_ stream: Int32) -> Bool { state.streams[stream]?.isCongested ?? false }

  /// Whether the request's head on the stream (client) has begun to be sent; true for a stream that
  /// is not known.
  func wasSent(_ stream: Int32) -> Bool { state.streams[stream]?.headLeft ?? true }

  /// Whether what is sent on the stream can still reach the peer: it may be gone before `closed` tells so.
  func isLive(_ stream: Int32) -> Bool { state.streams[stream].map { !$0.isReset } ?? false }

  /// Streams that are open or wait to be.
  var streamCount: Int { state.streams.count }

  // MARK: Connection

  /// Streams that the peer lets us have open at once.
  var peerMaxConcurrentStreams: Int {
    Int(nghttp2_session_get_remote_settings(handle, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS))
  }

  /// The largest header list to send: ours, or the peer's limit when that is smaller.
  var maxSentHeaderListBytes: Int {
    let peer = nghttp2_session_get_remote_settings(
      handle,
      NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE
    )
    return min(limits.maxHeaderListBytes, Int(peer))
  }

  /// Asks the peer for a sign of life, which comes as `pong`.
  func submitPing() {
    nghttp2_submit_ping(handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), nil)
  }

  /// First step of a graceful end (server): the peer is told that an end is near.
  func submitShutdownNotice() {
    nghttp2_submit_shutdown_notice(handle)
  }

  /// Second step: streams above the last one seen are not processed any more.
  func submitGoAway(_ code: HTTP2ErrorCode = .noError) {
    let last = nghttp2_session_get_last_proc_stream_id(handle)
    nghttp2_submit_goaway(
      handle,
      UInt8(NGHTTP2_FLAG_NONE.rawValue),
      last,
      code.rawValue,
      nil,
      0
    )
  }

  /// Ends the connection at once: after a GOAWAY nothing is read or sent.
  func terminate(_ code: HTTP2ErrorCode) {
    nghttp2_session_terminate_session(handle, code.rawValue)
  }

  /// Ends the connection at once because of an error, which the GOAWAY's debug data names.
  ///
  /// nghttp2's own end of a session takes no debug data: here the session stops by itself.
  func terminate(_ error: HTTP2ErrorCode, debug: String) {
    guard !state.isTerminated else { return }
    state.isTerminated = true
    let last = nghttp2_session_get_last_proc_stream_id(handle)
    let none = UInt8(NGHTTP2_FLAG_NONE.rawValue)
    let debug = Array(debug.utf8)
    nghttp2_submit_goaway(handle, none, last, error.rawValue, debug, debug.count)
  }

  // MARK: Private

  private func resume(_ stream: Int32, _ entry: HTTP2StreamState) {
    guard entry.isDeferred else { return }
    entry.isDeferred = false
    nghttp2_session_resume_data(handle, stream)
  }

  private func withProvider<R>(
    _ endStream: Bool,
    _ body: (UnsafePointer<nghttp2_data_provider>?) -> R
  ) -> R {
    guard !endStream else { return body(nil) }
    // nghttp2 copies the provider; the callback finds the stream by its id.
    var provider = nghttp2_data_provider()
    provider.read_callback = HTTP2SessionState.readCallback
    return withUnsafePointer(to: &provider) { body($0) }
  }

  private func submitSettings() throws(HTTP2SessionError) {
    var entries = [
      nghttp2_settings_entry(
        settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue),
        value: UInt32(limits.streamWindowBytes)
      ),
      nghttp2_settings_entry(
        settings_id: Int32(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE.rawValue),
        value: UInt32(limits.maxHeaderListBytes)
      ),
    ]
    switch role {
    case .server:
      entries.append(
        nghttp2_settings_entry(
          settings_id: Int32(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS.rawValue),
          value: UInt32(limits.maxConcurrentStreams)
        )
      )
    case .client:
      entries.append(
        nghttp2_settings_entry(
          settings_id: Int32(NGHTTP2_SETTINGS_ENABLE_PUSH.rawValue),
          value: 0
        )
      )
    }
    let none = UInt8(NGHTTP2_FLAG_NONE.rawValue)
    var result = nghttp2_submit_settings(handle, none, entries, entries.count)
    if result == 0 {
      result = nghttp2_session_set_local_window_size(
        handle,
        none,
        0,
        Int32(limits.connectionWindowBytes)
      )
    }
    guard result == 0 else {
      throw HTTP2SessionError(operation: "HTTP/2 settings", number: result)
    }
  }
}
