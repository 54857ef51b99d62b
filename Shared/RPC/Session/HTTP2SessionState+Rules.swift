import CNghttp2

/// Rules of HTTP/2 for clients that nghttp2 does not see to.
extension HTTP2SessionState {
  private static let windowMax = Int(Int32.max)

  /// HEADERS begin on a stream; returns whether they may (RFC 9113, 5.1.1).
  func beginHeaders(on stream: Int32) -> Bool {
    guard !skippedStreams.receivedHeaders(stream) else { return true }
    brokenRule = (.protocolError, "HEADERS on stream \(stream), below one opened before it")
    return false
  }

  /// SETTINGS begin.
  func beginSettings(_ handle: OpaquePointer) {
    var widest = 0
    for stream in streams.values {
      let window = nghttp2_session_get_stream_remote_window_size(handle, stream.stream)
      widest = max(widest, Int(window))
    }
    windowsBefore = (Self.initialWindow(handle), widest)
  }

  /// SETTINGS are in force; returns whether they may be (RFC 9113, 6.9.2).
  ///
  /// nghttp2 resets the streams whose windows they lift above 2^31-1, where the connection has to end.
  func endSettings(_ handle: OpaquePointer) -> Bool {
    guard let before = windowsBefore else { return true }
    windowsBefore = nil
    let widest = before.widest + Self.initialWindow(handle) - before.initial
    guard !streams.isEmpty, widest > Self.windowMax else { return true }
    brokenRule = (.flowControlError, "SETTINGS that lift a stream's window to \(widest)")
    return false
  }

  private static func initialWindow(_ handle: OpaquePointer) -> Int {
    Int(nghttp2_session_get_remote_settings(handle, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE))
  }
}
