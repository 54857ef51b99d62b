import CNghttp2

extension HTTP2SessionState {
  /// The state behind nghttp2's user data.
  ///
  /// The session that owns the state outlives the handle, so the pointer is valid in every
  /// callback.
  fileprivate static func from(_ userData: UnsafeMutableRawPointer?) -> HTTP2SessionState? {
    userData.map { Unmanaged<HTTP2SessionState>.fromOpaque($0).takeUnretainedValue() }
  }

  /// Where nghttp2 gets the bytes of DATA frames.
  static let readCallback: nghttp2_data_source_read_callback = {
    handle,
    id,
    buffer,
    length,
    flags,
    _,
    userData in
    guard let handle, let buffer, let flags, let state = from(userData) else {
      return Int(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue)
    }
    return state.read(
      handle,
      id,
      UnsafeMutableRawBufferPointer(start: buffer, count: length),
      flags
    )
  }
}

extension HTTP2Session {
  static func makeHandle(
    role: Role,
    limits: HTTP2SessionLimits,
    state: HTTP2SessionState,
    memory: SessionMemory
  ) throws(HTTP2SessionError) -> OpaquePointer {
    var callbacks: OpaquePointer?
    var option: OpaquePointer?
    guard nghttp2_session_callbacks_new(&callbacks) == 0, let callbacks else {
      throw HTTP2SessionError(
        operation: "HTTP/2 callbacks",
        number: Int32(NGHTTP2_ERR_NOMEM.rawValue)
      )
    }
    defer { nghttp2_session_callbacks_del(callbacks) }
    guard nghttp2_option_new(&option) == 0, let option else {
      throw HTTP2SessionError(
        operation: "HTTP/2 options",
        number: Int32(NGHTTP2_ERR_NOMEM.rawValue)
      )
    }
    defer { nghttp2_option_del(option) }
    register(callbacks)
    if role == .server { registerFrameHeads(callbacks) }
    nghttp2_option_set_no_auto_window_update(option, 1)
    nghttp2_option_set_no_closed_streams(option, 1)
    nghttp2_option_set_stream_reset_rate_limit(
      option,
      limits.resets.burst,
      limits.resets.perSecond
    )
    // nghttp2's bound of answers that wait would come before ours and give no reason.
    nghttp2_option_set_max_outbound_ack(option, limits.queuedFrames)
    nghttp2_option_set_max_continuations(option, limits.continuationsMax)
    // nghttp2 estimates a block's size generously; the exact limit is checked before it is asked.
    nghttp2_option_set_max_send_header_block_length(option, 8 * limits.maxHeaderListBytes)

    var handle: OpaquePointer?
    let userData = Unmanaged.passUnretained(state).toOpaque()
    var functions = memory.functions
    let result =
      switch role {
      case .client: nghttp2_session_client_new3(&handle, callbacks, userData, option, &functions)
      case .server: nghttp2_session_server_new3(&handle, callbacks, userData, option, &functions)
      }
    guard result == 0, let handle else {
      throw HTTP2SessionError(operation: "HTTP/2 session", number: result)
    }
    return handle
  }

  private static func registerFrameHeads(_ callbacks: OpaquePointer) {
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks) { handle, head, userData in
      guard let handle, let head = head?.pointee else { return 0 }
      switch UInt32(head.type) {
      case NGHTTP2_HEADERS.rawValue:
        let isValid = HTTP2SessionState.from(userData)?.beginHeaders(on: head.stream_id) ?? true
        return isValid ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE.rawValue
      case NGHTTP2_SETTINGS.rawValue where head.length > 0:
        HTTP2SessionState.from(userData)?.beginSettings(handle)
        return 0
      default: return 0
      }
    }
  }

  private static func register(_ callbacks: OpaquePointer) {
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, frame, userData in
      guard let frame else { return 0 }
      HTTP2SessionState.from(userData)?.beginHeaders(frame.pointee)
      return 0
    }
    nghttp2_session_callbacks_set_on_header_callback2(callbacks) {
      _,
      frame,
      name,
      value,
      _,
      userData in
      guard let frame, let name, let value, let state = HTTP2SessionState.from(userData) else {
        return 0
      }
      state.header(frame.pointee.hd.stream_id, name, value)
      // Nothing more of a bomb is decompressed; the session says why it ends.
      return state.violation == nil ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE.rawValue
    }
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) {
      handle,
      _,
      id,
      bytes,
      count,
      userData in
      guard let handle else { return 0 }
      HTTP2SessionState.from(userData)?.data(
        handle,
        id,
        UnsafeBufferPointer(start: bytes, count: count)
      )
      return 0
    }
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { handle, frame, userData in
      guard let handle, let frame, let state = HTTP2SessionState.from(userData) else { return 0 }
      state.received(frame.pointee)
      guard UInt32(frame.pointee.hd.type) == NGHTTP2_SETTINGS.rawValue else { return 0 }
      return state.endSettings(handle) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE.rawValue
    }
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks) {
      _,
      frame,
      _,
      userData in
      guard let frame else { return 0 }
      HTTP2SessionState.from(userData)?.receivedInvalid(frame.pointee)
      return 0
    }
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, id, code, userData in
      HTTP2SessionState.from(userData)?.closed(id, code)
      return 0
    }
    nghttp2_session_callbacks_set_before_frame_send_callback(callbacks) { _, frame, userData in
      guard let frame else { return 0 }
      HTTP2SessionState.from(userData)?.sending(frame.pointee)
      return 0
    }
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { handle, frame, userData in
      guard let handle, let frame else { return 0 }
      HTTP2SessionState.from(userData)?.sent(handle, frame.pointee)
      return 0
    }
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks) {
      handle,
      frame,
      _,
      userData in
      guard let handle, let frame else { return 0 }
      HTTP2SessionState.from(userData)?.notSent(handle, frame.pointee)
      return 0
    }
  }
}
