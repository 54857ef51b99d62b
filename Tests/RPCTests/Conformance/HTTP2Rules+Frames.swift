// MARK: Section 6

extension HTTP2Rule {
  static let frames: [HTTP2Rule] = [
    HTTP2Rule(
      "6.1",
      "DATA on stream 0 ends the connection",
      [.data(0, hello)],
      .connectionError([Code.protocolError])
    ),
    HTTP2Rule(
      "6.1",
      "padding is left out",
      [
        open(), frame(0, 9, 1, [5] + hello + zeros(5)),
      ],
      .answer(1)
    ),
    HTTP2Rule(
      "6.1",
      "padding as long as the frame ends the connection",
      [open(), frame(0, 9, 1, [11] + zeros(10))],
      .connectionError([Code.protocolError])
    ),
    HTTP2Rule(
      "6.2",
      "HEADERS on stream 0 ends the connection",
      [frame(1, 5, 0, RawFrame.block(head))],
      .connectionError([Code.protocolError])
    ),
    HTTP2Rule(
      "6.2",
      "padding and priority of HEADERS are left out",
      [
        frame(1, 4 | 8 | 32, 1, [3, 0, 0, 0, 0, 15] + RawFrame.block(head) + zeros(3)),
        .data(1, hello, end: true),
      ],
      .answer(1)
    ),
    HTTP2Rule(
      "6.2",
      "padding of HEADERS as long as the frame ends the connection",
      [frame(1, 5 | 8, 1, [200] + RawFrame.block([(":method", "GET")]))],
      .connectionError([Code.protocolError])
    ),
    HTTP2Rule(
      "6.3",
      "PRIORITY on stream 0 ends the connection",
      [frame(2, 0, 0, zeros(5))],
      .connectionError([Code.protocolError])
    ),
    HTTP2Rule(
      "6.3",
      "PRIORITY of another length than 5 is an error",
      [open(), frame(2, 0, 1, zeros(4))],
      .anyError(1, [Code.frameSize])
    ),
    HTTP2Rule(
      "6.4",
      "RST_STREAM on stream 0 ends the connection",
      [.reset(0, 8)],
      .connectionError([Code.protocolError])
    ),
    HTTP2Rule(
      "6.4",
      "RST_STREAM of another length than 4 ends the connection",
      [open(), frame(3, 0, 1, zeros(3))],
      .connectionError([Code.frameSize])
    ),
    HTTP2Rule("6.5", "SETTINGS are acknowledged", [.settings], .alive([.settingsAck])),
    HTTP2Rule(
      "6.5",
      "an acknowledgement with a payload ends the connection",
      [frame(4, 1, 0, zeros(6))],
      .connectionError([Code.frameSize])
    ),
    HTTP2Rule(
      "6.5",
      "SETTINGS on a stream end the connection",
      [frame(4, 0, 1)],
      .connectionError([Code.protocolError])
    ),
    HTTP2Rule(
      "6.5",
      "SETTINGS of a length that 6 does not divide end the connection",
      [frame(4, 0, 0, zeros(5))],
      .connectionError([Code.frameSize])
    ),
    HTTP2Rule(
      "6.5.2",
      "ENABLE_PUSH other than 0 and 1 ends the connection",
      [setting(2, 2)],
      .connectionError([Code.protocolError])
    ),
    HTTP2Rule(
      "6.5.2",
      "INITIAL_WINDOW_SIZE above 2^31-1 ends the connection",
      [setting(4, 1 << 31)],
      .connectionError([Code.flowControl])
    ),
    HTTP2Rule(
      "6.5.2",
      "MAX_FRAME_SIZE below 16,384 ends the connection",
      [setting(5, 16_383)],
      .connectionError([Code.protocolError])
    ),
    HTTP2Rule(
      "6.5.2",
      "MAX_FRAME_SIZE above 2^24-1 ends the connection",
      [setting(5, 1 << 24)],
      .connectionError([Code.protocolError])
    ),
    HTTP2Rule(
      "6.6",
      "PUSH_PROMISE from a client ends the connection",
      [open(), frame(5, 4, 1, [0, 0, 0, 2] + RawFrame.block(head))],
      .connectionError([Code.protocolError])
    ),
    HTTP2Rule(
      "6.7",
      "PING is answered with its bytes",
      [frame(6, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8])],
      .alive([frame(6, 1, 0, [1, 2, 3, 4, 5, 6, 7, 8])])
    ),
    HTTP2Rule(
      "6.7",
      "an answer to no PING is ignored",
      [frame(6, 1, 0, zeros(8))] + call(),
      .answer(1)
    ),
    HTTP2Rule(
      "6.7",
      "PING on a stream ends the connection",
      [frame(6, 0, 1, zeros(8))],
      .connectionError([Code.protocolError])
    ),
    HTTP2Rule(
      "6.7",
      "PING of another length than 8 ends the connection",
      [frame(6, 0, 0, zeros(6))],
      .connectionError([Code.frameSize])
    ),
    HTTP2Rule(
      "6.8",
      "GOAWAY on a stream ends the connection",
      [frame(7, 0, 1, zeros(8))],
      .connectionError([Code.protocolError])
    ),
    HTTP2Rule(
      "6.8",
      "after GOAWAY what runs is finished",
      [.call(1), frame(7, 0, 0, zeros(8)), .data(1, hello, end: true)],
      .answer(1)
    ),
    HTTP2Rule(
      "6.10",
      "a block may be cut into any number of frames",
      [
        frame(1, 0, 1, Array(RawFrame.block(head).prefix(10))),
        frame(9, 0, 1, Array(RawFrame.block(head).dropFirst(10).prefix(20))),
        frame(9, 0, 1), frame(9, 4, 1, Array(RawFrame.block(head).dropFirst(30))),
        .data(1, hello, end: true),
      ],
      .answer(1)
    ),
    HTTP2Rule(
      "6.10",
      "another frame within a block ends the connection",
      [frame(1, 0, 1, RawFrame.block(head)), .data(1, hello)],
      .connectionError([Code.protocolError])
    ),
    HTTP2Rule(
      "6.10",
      "CONTINUATION on another stream ends the connection",
      [frame(1, 0, 1, RawFrame.block(head)), frame(9, 4, 3)],
      .connectionError([Code.protocolError])
    ),
    HTTP2Rule(
      "6.10",
      "CONTINUATION on stream 0 ends the connection",
      [frame(1, 0, 1, RawFrame.block(head)), frame(9, 4, 0)],
      .connectionError([Code.protocolError])
    ),
    HTTP2Rule(
      "6.10",
      "CONTINUATION after the end of a block ends the connection",
      [open(), frame(9, 4, 1, RawFrame.block([("a", "b")]))],
      .connectionError([Code.protocolError])
    ),
  ]

  /// The echo stops to read once its answers are not read: 1 MiB fills the stream's window.
  private static let tooMuchData: [RawFrame] =
    [RawFrame.call(1, path: "/test.Echo/Chat")]
    + [RawFrame](repeating: RawFrame.data(1, wireMessage(zeros(16_379))), count: 100)

  static let flowControl: [HTTP2Rule] = [
    HTTP2Rule(
      "6.9",
      "an increment of 0 on the connection ends it",
      [windowUpdate(0, 0)],
      .connectionError([Code.protocolError])
    ),
    HTTP2Rule(
      "6.9",
      "an increment of 0 on a stream is its error",
      [open(), windowUpdate(1, 0)],
      .anyError(1, [Code.protocolError])
    ),
    HTTP2Rule(
      "6.9",
      "WINDOW_UPDATE of another length than 4 ends the connection",
      [frame(8, 0, 0, zeros(3))],
      .connectionError([Code.frameSize])
    ),
    HTTP2Rule(
      "6.9.1",
      "a connection's window above 2^31-1 ends it",
      [windowUpdate(0, .max >> 1), windowUpdate(0, .max >> 1)],
      .connectionError([Code.flowControl])
    ),
    HTTP2Rule(
      "6.9.1",
      "a stream's window above 2^31-1 is its error",
      [open(), windowUpdate(1, .max >> 1), windowUpdate(1, .max >> 1)],
      .streamError(1, [Code.flowControl])
    ),
    HTTP2Rule(
      "6.9.1",
      "DATA beyond a stream's window is an error",
      tooMuchData,
      .anyError(1, [Code.flowControl])
    ),
    HTTP2Rule(
      "6.9.2",
      "no more is sent than the client's window allows",
      [setting(4, 1)] + call(),
      .data(1, [0])
    ),
    HTTP2Rule(
      "6.9.2",
      "a window may grow by SETTINGS",
      [setting(4, 0)] + call() + [setting(4, 100)],
      .answer(1)
    ),
    HTTP2Rule(
      "6.9.2",
      "a window that became negative grows back",
      [setting(4, 4)] + call() + [setting(4, 2), windowUpdate(1, 100)],
      .answer(1)
    ),
    HTTP2Rule(
      "6.9.2",
      "SETTINGS that lift a window above 2^31-1 end the connection",
      [setting(4, 100), open(), windowUpdate(1, .max >> 1 - 100), setting(4, 200)],
      .connectionError([Code.flowControl])
    ),
    HTTP2Rule(
      "6.9.2",
      "SETTINGS may lift a window to 2^31-1",
      [setting(4, 100)] + call() + [windowUpdate(1, .max >> 1 - 200), setting(4, 200)],
      .answer(1)
    ),
  ]
}
