// MARK: Sections 4 and 5

extension HTTP2Rule {
  static let framing: [HTTP2Rule] = [
    HTTP2Rule(
      "4.1",
      "a frame of an unknown type is ignored",
      [frame(0x16, 0xff, 0, zeros(8))]
        + call(),
      .answer(1)
    ),
    HTTP2Rule(
      "4.1",
      "unknown flags are ignored",
      [frame(6, 0x16, 0, zeros(8))],
      .alive([frame(6, 1, 0, zeros(8))])
    ),
    HTTP2Rule(
      "4.1",
      "the reserved bit is ignored",
      [frame(6, 0, 1 << 31, zeros(8))],
      .alive([frame(6, 1, 0, zeros(8))])
    ),
    HTTP2Rule(
      "4.2",
      "a frame of 16,384 bytes is read",
      [
        open(), .data(1, wireMessage(zeros(16_379)), end: true),
      ],
      .answer(1)
    ),
    HTTP2Rule(
      "4.2",
      "a DATA frame above that is refused",
      [open(), .data(1, zeros(16_385))],
      .anyError(1, [Code.frameSize])
    ),
    HTTP2Rule(
      "4.2",
      "a HEADERS frame above that ends the connection",
      [frame(1, 5, 1, zeros(16_385))],
      .connectionError([Code.frameSize])
    ),
    HTTP2Rule(
      "4.2",
      "a frame of any type on stream 0 above that, too",
      [frame(4, 0, 0, zeros(16_386))],
      .connectionError([Code.frameSize])
    ),
    HTTP2Rule(
      "5.5",
      "an unknown frame within a header block ends the connection",
      [frame(1, 1, 1, RawFrame.block(head)), frame(0x16, 0, 1, zeros(4))],
      .connectionError([Code.protocolError])
    ),
    HTTP2Rule(
      "5.5",
      "an unknown setting is ignored",
      [frame(4, 0, 0, [0, 0xff, 0, 0, 0, 1])],
      .alive([.settingsAck])
    ),
    HTTP2Rule(
      "7",
      "an unknown error code in GOAWAY and RST_STREAM is no error",
      [
        open(), frame(3, 0, 1, [0, 0, 0, 0xff]),
      ] + call(3),
      .answer(3)
    ),
  ]

  private static let idleFrames: [(String, RawFrame)] = [
    ("DATA", frame(0, 0, 1, zeros(4))), ("RST_STREAM", RawFrame.reset(1, 8)),
    ("WINDOW_UPDATE", windowUpdate(1, 100)), ("CONTINUATION", frame(9, 4, 1, zeros(4))),
  ]

  static let idleStreams: [HTTP2Rule] = idleFrames.map { (name, frame) -> HTTP2Rule in
    HTTP2Rule(
      "5.1",
      "idle: \(name) ends the connection",
      [frame],
      .connectionError([Code.protocolError])
    )
  }

  private static let streamsAboveLimit: [RawFrame] = (0...1024).map { RawFrame.call(2 * $0 + 1) }

  /// A call whose answer the client's window holds back.
  private static let halfClosed = [setting(4, 0)] + call()

  static let streams: [HTTP2Rule] = [
    HTTP2Rule(
      "5.1",
      "half closed: DATA is an error",
      halfClosed + [.data(1, hello)],
      .anyError(1, [Code.streamClosed])
    ),
    HTTP2Rule(
      "5.1",
      "half closed: HEADERS is an error",
      halfClosed + [.call(1, end: true)],
      .anyError(1, [Code.streamClosed, Code.protocolError])
    ),
    HTTP2Rule(
      "5.1",
      "half closed: CONTINUATION ends the connection",
      halfClosed + [frame(9, 4, 1, zeros(4))],
      .connectionError([Code.protocolError])
    ),
    HTTP2Rule(
      "5.1",
      "closed by RST_STREAM: DATA is an error or ignored",
      [open(), .reset(1, 8), .data(1, hello)] + call(3),
      .answer(3)
    ),
    // RFC 9113 lets an endpoint end the connection here ("MAY"). nghttp2 reads and drops the block:
    // it keeps nothing of a closed stream, and trailers may cross with our own reset.
    HTTP2Rule(
      "5.1",
      "closed by RST_STREAM: HEADERS is ignored",
      [open(), .reset(1, 8), .call(1, end: true)] + call(3),
      .answer(3)
    ),
    HTTP2Rule(
      "5.1",
      "closed: CONTINUATION ends the connection",
      [open(), .reset(1, 8), frame(9, 4, 1, zeros(4))],
      .connectionError([Code.protocolError, Code.streamClosed])
    ),
    HTTP2Rule(
      "5.1",
      "closed: WINDOW_UPDATE and RST_STREAM are ignored",
      [open(), .reset(1, 8), windowUpdate(1, 1), .reset(1, 8)] + call(3),
      .answer(3)
    ),
    HTTP2Rule(
      "5.1",
      "closed: PRIORITY is ignored",
      [open(), .reset(1, 8), frame(2, 0, 1, [0, 0, 0, 0, 15])] + call(3),
      .answer(3)
    ),
    HTTP2Rule(
      "5.1.1",
      "an even stream ends the connection",
      [.call(2)],
      .connectionError([Code.protocolError])
    ),
    HTTP2Rule(
      "5.1.1",
      "a stream below the last ends the connection",
      call(5) + [.call(3)],
      .connectionError([Code.protocolError, Code.streamClosed])
    ),
    HTTP2Rule(
      "5.1.1",
      "late trailers of a malformed request are ignored",
      [headers(head + [("X", "y")], end: false)] + call(3)
        + [headers([("x", "y")])]
        + call(5),
      .answer(5)
    ),
    HTTP2Rule("5.1.1", "streams may be skipped", call(1) + call(101), .answer(101)),
    HTTP2Rule(
      "5.1.2",
      "a stream above the limit is refused",
      [RawFrame.settingsAck] + streamsAboveLimit,
      .anyError(2049, [Code.refused, Code.protocolError])
    ),
    HTTP2Rule(
      "5.3",
      "PRIORITY of an idle stream is ignored",
      [frame(2, 0, 3, [0, 0, 0, 1, 15])] + call(),
      .answer(1)
    ),
    HTTP2Rule(
      "5.4.2",
      "an error of one stream leaves the others",
      [headers(head + [("X-Name", "v")])] + call(3),
      .answer(3)
    ),
  ]
}
