// MARK: Section 4.3 with RFC 7541, section 8

extension HTTP2Rule {
  private static func block(_ payload: [UInt8]) -> [RawFrame] { [frame(1, 5, 1, payload)] }

  private static let brokenBlocks: [(String, [UInt8])] = [
    ("index 0", [0x80]), ("an index beyond the tables", [0xff, 0x20]),
    ("a literal with a name beyond the tables", [0x7f, 0x20, 0x01, 0x61]),
    ("a block that is cut", [0x00, 0x05, 0x61]),
    ("an integer without end", [0x7f] + [UInt8](repeating: 0xff, count: 20)),
    ("a table above the limit", [0x3f, 0xff, 0xff, 0x3f]),
    ("a change of the table's size after a field", [0x83, 0x20]),
    ("Huffman padding of more than 7 bits", [0x00, 0x82, 0x1f, 0xff, 0x01, 0x61]),
    ("Huffman padding of zeros", [0x00, 0x81, 0x18, 0x01, 0x61]),
    ("Huffman's end of string", [0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x01, 0x61]),
  ]

  static let invalidBlocks: [HTTP2Rule] = brokenBlocks.map { (what, payload) -> HTTP2Rule in
    HTTP2Rule(
      "4.3",
      "\(what) ends the connection",
      block(payload),
      .connectionError([Code.compression])
    )
  }

  private static let indexedFields: [UInt8] =
    [0x83, 0x86, 0x04] + text("/test.Echo/Unary") + [0x41] + text("a")
    + [0x40] + literal("te", "trailers") + [0x40] + literal("content-type", "application/grpc")

  /// The same fields from the dynamic table.
  private static let indices: [UInt8] =
    [0x83, 0x86, 0x04] + text("/test.Echo/Unary") + [0xc0, 0xbf, 0xbe]

  static let headerBlocks: [HTTP2Rule] = [
    HTTP2Rule(
      "4.3",
      "a table that shrinks at the start of a block is no error",
      [frame(1, 4, 1, [0x20] + RawFrame.block(head)), .data(1, hello, end: true)],
      .answer(1)
    ),
    HTTP2Rule(
      "4.3",
      "indexed fields are read",
      [
        frame(1, 4, 1, indexedFields),
        .data(1, hello, end: true),
        frame(1, 4, 3, indices),
        .data(3, hello, end: true),
      ],
      .answer(3)
    ),
  ]

  private static func text(_ text: String) -> [UInt8] { [UInt8(text.utf8.count)] + text.utf8 }
  private static func literal(_ name: String, _ value: String) -> [UInt8] {
    text(name) + text(value)
  }

  private static func malformed(
    _ rule: String,
    _ section: String,
    _ fields: [(String, String)]
  )
    -> HTTP2Rule
  {
    HTTP2Rule(section, rule, [headers(fields)], .streamError(1, [Code.protocolError]))
  }

  private static func without(_ name: String) -> [(String, String)] { head.filter { $0.0 != name } }
  private static func replacing(_ name: String, _ value: String) -> [(String, String)] {
    head.map { $0.0 == name ? (name, value) : $0 }
  }

  static let messages: [HTTP2Rule] = [
    HTTP2Rule(
      "8.1",
      "trailers without END_STREAM are malformed",
      [open(), .data(1, hello), headers([("x", "y")], end: false)],
      .anyError(1, [Code.protocolError])
    ),
    HTTP2Rule(
      "8.1",
      "trailers end a request",
      [
        open(), .data(1, hello), headers([("x", "y")]),
      ],
      .answer(1)
    ),
    HTTP2Rule(
      "8.1",
      "a pseudo-header in trailers is malformed",
      [open(), .data(1, hello), headers([(":method", "POST")])],
      .streamError(1, [Code.protocolError])
    ),
    HTTP2Rule(
      "8.1.1",
      "a content-length above the body is malformed",
      call(1, [("content-length", "11")]),
      .streamError(1, [Code.protocolError])
    ),
    HTTP2Rule(
      "8.1.1",
      "a content-length below the body is malformed",
      call(1, [("content-length", "9")]),
      .streamError(1, [Code.protocolError])
    ),
    HTTP2Rule(
      "8.1.1",
      "a content-length of several DATA frames adds up",
      [
        .call(1, [("content-length", "10")]), .data(1, Array(hello.prefix(3))),
        .data(1, Array(hello.dropFirst(3)), end: true),
      ],
      .answer(1)
    ),
    malformed("a name in upper case is malformed", "8.2.1", head + [("X-Name", "v")]),
    malformed("a name with a space is malformed", "8.2.1", head + [("x name", "v")]),
    malformed("an empty name is malformed", "8.2.1", head + [("", "v")]),
    malformed("a value with a line break is malformed", "8.2.1", head + [("x", "a\nb")]),
    malformed("a value with a zero byte is malformed", "8.2.1", head + [("x", "a\0b")]),
    malformed("'connection' is malformed", "8.2.2", head + [("connection", "keep-alive")]),
    malformed("'keep-alive' is malformed", "8.2.2", head + [("keep-alive", "1")]),
    malformed("'proxy-connection' is malformed", "8.2.2", head + [("proxy-connection", "x")]),
    malformed(
      "'transfer-encoding' is malformed",
      "8.2.2",
      head + [("transfer-encoding", "chunked")]
    ),
    malformed("'upgrade' is malformed", "8.2.2", head + [("upgrade", "h2c")]),
    malformed(
      "'te' other than trailers is malformed",
      "8.2.2",
      replacing("te", "trailers, deflate")
    ),
    malformed("an unknown pseudo-header is malformed", "8.3", head + [(":test", "v")]),
    malformed("a response's pseudo-header is malformed", "8.3", [(":status", "200")] + head),
    malformed(
      "a pseudo-header after a field is malformed",
      "8.3",
      [("te", "trailers")] + without("te")
    ),
    malformed("a request without :method is malformed", "8.3.1", without(":method")),
    malformed("a request without :scheme is malformed", "8.3.1", without(":scheme")),
    malformed("a request without :path is malformed", "8.3.1", without(":path")),
    malformed("an empty :path is malformed", "8.3.1", replacing(":path", "")),
    malformed("two :method are malformed", "8.3.1", [(":method", "POST")] + head),
    malformed("two :scheme are malformed", "8.3.1", [(":scheme", "http")] + head),
    malformed("two :path are malformed", "8.3.1", [(":path", "/")] + head),
    malformed("CONNECT with :scheme is malformed", "8.5", replacing(":method", "CONNECT")),
  ]
}
