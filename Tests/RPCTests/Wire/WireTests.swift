import Testing

@testable import RPC

@Suite(.timeLimit(.minutes(5))) struct WireTests {
  @Test(arguments: [
    ([UInt8](), ""), ([0x66], "Zg"), ([0x66, 0x6f], "Zm8"), ([0x66, 0x6f, 0x6f], "Zm9v"),
    ([0xfb, 0xff], "+/8"), ([0, 0, 0, 0], "AAAAAA"),
  ])
  func `base64 is sent without padding and read with or without it`(
    bytes: [UInt8],
    text: String
  ) {
    #expect(Base64.encode(bytes) == text)
    #expect(Base64.decode(text.utf8) == bytes)
    let padded = text + String(repeating: "=", count: (4 - text.count % 4) % 4)
    #expect(Base64.decode(padded.utf8) == bytes)
  }

  @Test(arguments: ["A", "AAAAA", "A===", "AA=", "Zg=a", "Zm 9v", "é", "====", "AA=A"])
  func `what is not base64 is refused`(text: String) {
    #expect(Base64.decode(text.utf8) == nil)
  }

  @Test func `base64 of every length survives a round trip`() {
    var generator = SeededGenerator(seed: 1)
    for count in 0..<200 {
      let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
      #expect(Base64.decode(Base64.encode(bytes).utf8) == bytes)
    }
  }

  @Test(arguments: [
    ("plain text", "plain text"), ("100%", "100%25"), ("é", "%C3%A9"), ("a\nb", "a%0Ab"),
    ("\u{1F600}~", "%F0%9F%98%80~"), ("", ""),
  ])
  func `messages are percent-encoded byte by byte`(text: String, encoded: String) {
    #expect(PercentEncoding.encode(text) == encoded)
    #expect(PercentEncoding.decode(encoded) == text)
  }

  @Test(arguments: [
    ("%", "%"), ("%4", "%4"), ("%zz", "%zz"), ("a%41%", "aA%"), ("%ff", "\u{FFFD}"),
    ("%c3%A9", "é"), ("%%41", "%A"),
  ])
  func `decoding a message never fails`(encoded: String, text: String) {
    #expect(PercentEncoding.decode(encoded) == text)
  }

  @Test(arguments: [
    (UInt64(1), "1n"), (99_999_999, "99999999n"), (100_000_000, "100000u"),
    (100_000_001, "100001u"), (1_000_000_000, "1000000u"), (99_999_999_001, "100000m"),
    (200_000_000_000_000, "200000S"), (UInt64.max, "5124096H"),
  ])
  func `timeouts take eight digits and are rounded up`(nanoseconds: UInt64, text: String) {
    #expect(TimeoutHeader.encode(nanoseconds: nanoseconds) == text)
  }

  @Test(arguments: [
    ("1n", UInt64(1)), ("10u", 10_000), ("5m", 5_000_000), ("3S", 3_000_000_000),
    ("2M", 120_000_000_000), ("1H", 3_600_000_000_000), ("0S", 0), ("00000001S", 1_000_000_000),
    ("99999999H", .max),
  ])
  func `timeouts of every unit are read`(text: String, nanoseconds: UInt64) {
    #expect(TimeoutHeader.decode(text) == nanoseconds)
  }

  @Test(arguments: ["", "S", "1", "1s", "-1S", "123456789S", "1.5S", " 1S", "1 S", "0x1S"])
  func `malformed timeouts are refused`(text: String) {
    #expect(TimeoutHeader.decode(text) == nil)
  }

  @Test(arguments: [
    (400, StatusCode.internal), (401, .unauthenticated), (403, .permissionDenied),
    (404, .unimplemented), (429, .unavailable), (431, .internal), (502, .unavailable),
    (503, .unavailable), (504, .unavailable), (200, .unknown), (500, .unknown), (0, .unknown),
  ])
  func `an HTTP status stands for a status code`(status: Int, code: StatusCode) {
    #expect(StatusWire.code(httpStatus: status) == code)
  }

  @Test func `trailers state the outcome`() throws {
    #expect(StatusWire.outcome(of: []) == nil)
    let ok = StatusWire.outcome(of: [.init("grpc-status", "0"), .init("a", "b")])
    #expect(try ok?.get().all("a") == ["b"])
    for (text, code) in [("5", StatusCode.notFound), ("99", .unknown), ("x", .unknown)] {
      let fields = [HeaderField("grpc-status", text), HeaderField("grpc-message", "%41 b")]
      guard case .failure(let error)? = StatusWire.outcome(of: fields) else {
        Issue.record("status \(text) is no failure")
        continue
      }
      #expect(error.code == code)
      #expect(error.message.hasSuffix("A b"))
    }
  }

  @Test func `a status arrives even when its metadata cannot be sent`() {
    var bad = Metadata()
    bad.add("line\nbreak", for: "note")
    var fields: [HeaderField] = []
    StatusWire.append(
      RPCError(.aborted, "x", metadata: bad),
      trailing: Metadata(),
      to: &fields,
      maxListBytes: 8192
    )
    #expect(fields == [HeaderField("grpc-status", "13"), fields.last])
    var large = Metadata()
    large.add(String(repeating: "a", count: 10_000), for: "note")
    fields = []
    StatusWire.append(nil, trailing: large, to: &fields, maxListBytes: 8192)
    #expect(fields.first == HeaderField("grpc-status", "8"))
    #expect(fields.listSize < 8192)
  }

  @Test func `a long message is cut`() {
    var fields: [HeaderField] = []
    StatusWire.append(
      RPCError(.aborted, String(repeating: "m", count: 100_000)),
      trailing: Metadata(),
      to: &fields,
      maxListBytes: 8192
    )
    #expect(fields.first("grpc-status") == "10")
    #expect(fields.first("grpc-message")?.count == StatusWire.maxMessageBytes)
  }
}

/// A generator whose sequence depends on its seed alone (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) {
    state = seed
  }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
