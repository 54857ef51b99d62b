import Testing

@testable import RPC

@Suite(.timeLimit(.minutes(5))) struct MessageFramingTests {
  @Test func `messages survive any way of cutting them up`() throws {
    var generator = SeededGenerator(seed: 7)
    for _ in 0..<200 {
      let messages = (0..<Int.random(in: 1...6, using: &generator)).map { _ in
        [UInt8](
          repeating: .random(in: 0...255, using: &generator),
          count: .random(in: 0...300, using: &generator)
        )
      }
      var stream: [UInt8] = []
      for message in messages { stream += try MessageFraming.frame(Bytes(message)) }
      var deframer = MessageDeframer(maxMessageBytes: 300)
      var seen: [[UInt8]] = []
      while !stream.isEmpty {
        let chunk = Array(stream.prefix(.random(in: 1...120, using: &generator)))
        stream.removeFirst(chunk.count)
        try deframer.append(chunk) { seen.append(Array($0.bytes)) }
      }
      #expect(seen == messages)
      #expect(!deframer.isMidMessage)
    }
  }

  @Test func `a message above the limit is refused at its prefix`() {
    var deframer = MessageDeframer(maxMessageBytes: 10)
    let error = #expect(throws: RPCError.self) {
      try deframer.append([0, 0, 0, 0, 11]) { _ in }
    }
    #expect(error?.code == .resourceExhausted)
  }

  @Test(arguments: [UInt8(1), 2, 255])
  func `compressed and unknown flags are refused`(flag: UInt8) {
    var deframer = MessageDeframer(maxMessageBytes: 10)
    let error = #expect(throws: RPCError.self) {
      try deframer.append([flag, 0, 0, 0, 1, 65]) { _ in }
    }
    #expect(error?.code == .internal)
  }

  @Test func `a message that is cut short is noticed`() throws {
    var deframer = MessageDeframer(maxMessageBytes: 10)
    try deframer.append([0, 0, 0]) { _ in Issue.record("no message is complete") }
    #expect(deframer.isMidMessage)
  }

  @Test func `compressed and plain messages follow each other on one stream`() throws {
    let texts = ["", "short", String(repeating: "long ", count: 100), "x"]
    var stream: [UInt8] = []
    for text in texts { stream += try MessageFraming.frame(Bytes(text), .gzip) }
    for size in [1, 7, stream.count] {
      var deframer = MessageDeframer(maxMessageBytes: 1000, decoding: .gzip)
      var rest = stream
      var seen: [String] = []
      var flags: [Bool] = []
      while !rest.isEmpty {
        let chunk = Array(rest.prefix(size))
        rest.removeFirst(chunk.count)
        try deframer.append(chunk) { message throws(RPCError) in
          seen.append(String(decoding: try message.plain(maxBytes: 500), as: UTF8.self))
          flags.append(message.isCompressed)
        }
      }
      #expect(seen == texts)
      #expect(flags == [false, false, true, false])
    }
  }

  @Test(arguments: [
    (MessageDecoding.gzip, UInt8(1), StatusCode?.none), (.gzip, 2, .internal),
    (.unknown("br"), 1, .internal), (.unknown("br"), 0, nil), (.none, 1, .internal),
  ])
  func `the flag goes with the encoding that was named`(
    decoding: MessageDecoding,
    flag: UInt8,
    code: StatusCode?
  ) {
    var deframer = MessageDeframer(maxMessageBytes: 10, decoding: decoding)
    var caught: RPCError?
    do throws(RPCError) {
      try deframer.append([flag, 0, 0, 0, 1, 65]) { _ in }
    } catch {
      caught = error
    }
    #expect(caught?.code == code)
  }
}
