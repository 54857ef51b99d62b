import Testing

@testable import RPC

@Suite(.timeLimit(.minutes(5))) struct HTTP2SessionTests {
  /// A pair that has exchanged its settings.
  func makePair(
    client: HTTP2SessionLimits = HTTP2SessionLimits(),
    server: HTTP2SessionLimits = HTTP2SessionLimits()
  ) throws -> SessionPair {
    let pair = try SessionPair(client: client, server: server)
    try pair.pump()
    #expect(pair.takeClientEvents().map(\.brief) == ["settings"])
    #expect(pair.takeServerEvents().map(\.brief) == ["settings"])
    return pair
  }

  @Test func `a request and a response cross in order`() throws {
    let pair = try makePair()
    let stream = try #require(pair.client.submitRequest(requestHead, endStream: false))
    pair.client.send(stream, Array("ping".utf8))
    pair.client.finish(stream, trailers: [])
    try pair.pump()
    #expect(
      pair.takeServerEvents().map(\.brief) == [
        "head 1 \(requestHead.brief)", "data 1 ping", "end 1",
      ]
    )
    pair.server.submitResponse(stream, responseHead, endStream: false)
    pair.server.send(stream, Array("pong".utf8))
    pair.server.finish(stream, trailers: [HeaderField("grpc-status", "0")])
    try pair.pump()
    #expect(
      pair.takeClientEvents().map(\.brief) == [
        "head 1 \(responseHead.brief)", "data 1 pong", "trailers 1 grpc-status=0",
        "closed 1 NO_ERROR",
      ]
    )
    #expect(pair.takeServerEvents().map(\.brief) == ["closed 1 NO_ERROR"])
    #expect(pair.client.streamCount == 0 && pair.server.streamCount == 0)
  }

  @Test func `trailers alone are a head that ends the stream`() throws {
    let pair = try makePair()
    let stream = try #require(pair.client.submitRequest(requestHead, endStream: true))
    try pair.pump()
    pair.server.submitResponse(
      stream,
      responseHead + [HeaderField("grpc-status", "5")],
      endStream: true
    )
    try pair.pump()
    #expect(
      pair.takeClientEvents().first?.brief == "head 1 \(responseHead.brief),grpc-status=5 end"
    )
  }

  @Test func `a response that ends before the request resets the rest of it`() throws {
    let pair = try makePair()
    let stream = try #require(pair.client.submitRequest(requestHead, endStream: false))
    try pair.pump()
    pair.server.submitResponse(
      stream,
      responseHead + [HeaderField("grpc-status", "0")],
      endStream: true
    )
    try pair.pump()
    #expect(pair.takeClientEvents().map(\.brief).last == "closed 1 NO_ERROR")
    #expect(pair.server.streamCount == 0)
  }

  @Test func `a reset closes the stream on both sides with its code`() throws {
    let pair = try makePair()
    let stream = try #require(pair.client.submitRequest(requestHead, endStream: false))
    try pair.pump()
    _ = pair.takeServerEvents()
    pair.client.reset(stream, .cancel)
    try pair.pump()
    #expect(pair.takeServerEvents().map(\.brief) == ["closed 1 CANCEL"])
    #expect(pair.takeClientEvents().map(\.brief) == ["closed 1 CANCEL"])
  }

  @Test func `a request reset before it was sent is closed`() throws {
    let pair = try makePair()
    let stream = try #require(pair.client.submitRequest(requestHead, endStream: false))
    pair.client.reset(stream, .cancel)
    try pair.pump()
    #expect(pair.client.streamCount == 0)
    #expect(pair.takeClientEvents().count == 1)
  }

  @Test func `a stream sends no more than its window until it is consumed`() throws {
    var limits = HTTP2SessionLimits()
    limits.streamWindowBytes = 65_536
    let pair = try makePair(server: limits)
    let stream = try #require(pair.client.submitRequest(requestHead, endStream: false))
    pair.client.send(stream, [UInt8](repeating: 1, count: 200_000))
    try pair.pump()
    #expect(receivedBytes(pair.takeServerEvents()) == 65_536)
    #expect(pair.client.pendingBytes(stream) == 200_000 - 65_536)
    pair.server.consume(stream, 65_536)
    try pair.pump()
    #expect(receivedBytes(pair.takeServerEvents()) == 65_536)
  }

  @Test func `a stream that nobody reads does not stop another`() throws {
    var limits = HTTP2SessionLimits()
    limits.streamWindowBytes = 65_536
    limits.connectionWindowBytes = 131_072
    let pair = try makePair(server: limits)
    for _ in 0..<8 {
      let stream = try #require(pair.client.submitRequest(requestHead, endStream: false))
      pair.client.send(stream, [UInt8](repeating: 1, count: 100_000))
    }
    try pair.pump()
    #expect(receivedBytes(pair.takeServerEvents()) == 8 * 65_536)
  }

  @Test func `a stream tells when it came down to its low mark`() throws {
    let pair = try makePair()
    let stream = try #require(pair.client.submitRequest(requestHead, endStream: false))
    pair.client.send(stream, [UInt8](repeating: 1, count: 100))
    try pair.pump()
    #expect(pair.takeClientEvents().isEmpty)
    for count in [100_000, pair.client.limits.writeHighBytes] {
      pair.client.send(stream, [UInt8](repeating: 1, count: count))
      #expect(pair.client.isCongested(stream))
      try pair.pump()
      #expect(!pair.client.isCongested(stream))
      #expect(pair.takeClientEvents().map(\.brief) == ["writable 1"])
    }
  }

  @Test func `a header list above the limit is cut and marked`() throws {
    var limits = HTTP2SessionLimits()
    limits.maxHeaderListBytes = 1024
    let pair = try makePair(server: limits)
    let large = HeaderField("large", String(repeating: "x", count: 2000))
    _ = pair.client.submitRequest(requestHead + [large], endStream: true)
    try pair.pump()
    #expect(pair.takeServerEvents().first?.brief == "head 1 \(requestHead.brief) end oversized")
    #expect(pair.client.maxSentHeaderListBytes == 1024)
  }

  @Test func `a graceful end names the last stream and refuses the next`() throws {
    let pair = try makePair()
    let stream = try #require(pair.client.submitRequest(requestHead, endStream: true))
    try pair.pump()
    pair.server.submitShutdownNotice()
    try pair.pump()
    #expect(pair.takeClientEvents().map(\.brief) == ["goaway \(Int32.max) NO_ERROR"])
    pair.server.submitGoAway()
    try pair.pump()
    #expect(pair.takeClientEvents().map(\.brief) == ["goaway 1 NO_ERROR"])
    #expect(!pair.server.isFinished)
    pair.server.submitResponse(
      stream,
      responseHead + [HeaderField("grpc-status", "0")],
      endStream: true
    )
    try pair.pump()
    #expect(pair.server.isFinished)
    #expect(pair.client.isFinished)
  }

  @Test func `a stream above the last one named is refused`() throws {
    let pair = try makePair()
    _ = pair.client.submitRequest(requestHead, endStream: true)
    try pair.pump()
    pair.server.submitGoAway()
    // Both cross on the wire: the client opens a stream that the server no longer sees.
    _ = pair.client.submitRequest(requestHead, endStream: true)
    _ = pair.takeClientEvents()
    try pair.pump()
    #expect(
      pair.takeClientEvents().map(\.brief) == ["goaway 1 NO_ERROR", "closed 3 REFUSED_STREAM"]
    )
  }

  @Test func `pings are answered`() throws {
    let pair = try makePair()
    pair.client.submitPing()
    try pair.pump()
    #expect(pair.takeClientEvents().map(\.brief) == ["pong"])
  }

  @Test(arguments: 0..<20)
  func `bytes cut at random give the same events`(seed: Int) throws {
    let pair = try SessionPair()
    pair.generator = SeededGenerator(seed: UInt64(seed))
    try pair.pump()
    for _ in 0..<5 {
      let stream = try #require(pair.client.submitRequest(requestHead, endStream: false))
      pair.client.send(stream, Array("request \(stream)".utf8))
      pair.client.finish(stream, trailers: [])
    }
    try pair.pump()
    for case .head(let stream, _, _, _) in pair.serverEvents {
      pair.server.submitResponse(stream, responseHead, endStream: false)
      pair.server.send(stream, Array("response \(stream)".utf8))
      pair.server.finish(stream, trailers: [HeaderField("grpc-status", "0")])
    }
    try pair.pump()
    for stream in [1, 3, 5, 7, 9] as [Int32] {
      #expect(text(of: stream, in: pair.serverEvents) == "request \(stream)")
      #expect(text(of: stream, in: pair.clientEvents) == "response \(stream)")
    }
    #expect(pair.client.streamCount == 0 && pair.server.streamCount == 0)
  }

  private func receivedBytes(_ events: [HTTP2Event]) -> Int {
    events.reduce(0) { total, event in
      if case .data(_, let bytes) = event { total + bytes.count } else { total }
    }
  }

  private func text(of stream: Int32, in events: [HTTP2Event]) -> String {
    var all: [UInt8] = []
    for case .data(stream, let bytes) in events { all += bytes }
    return String(decoding: all, as: UTF8.self)
  }

  // MARK: Honest peers

  @Test(arguments: [true, false])
  func `a PING for each DATA frame, by which peers estimate the bandwidth, is no flood`(
    clientPings: Bool
  ) throws {
    let pair = try SessionPair()
    let stream = try #require(pair.client.submitRequest(requestHead, endStream: false))
    try pair.pump()
    pair.server.submitResponse(stream, responseHead, endStream: false)
    for _ in 0..<5_000 {
      let (pinging, sending) =
        clientPings ? (pair.client, pair.server) : (pair.server, pair.client)
      sending.send(stream, [1])
      try pair.pump()
      pinging.submitPing()
      try pair.pump()
    }
    #expect(pair.client.violation == nil)
    #expect(pair.server.violation == nil)
  }

  @Test func `calls that were given up after a while are no rapid resets`() throws {
    var limits = HTTP2SessionLimits()
    // It hardly fills again: this is not about the rate.
    limits.earlyResets = (50, 0.001)
    for (wait, isFlood) in [(1_200_000_000 as UInt64, false), (1_000, true)] {
      let pair = try SessionPair(server: limits)
      for _ in 0..<100 {
        guard let stream = pair.client.submitRequest(requestHead, endStream: false) else { break }
        try pair.pump()
        pair.now += wait
        pair.client.reset(stream, .cancel)
        try pair.pump()
        if pair.server.violation != nil { break }
      }
      #expect((pair.server.violation != nil) == isFlood)
    }
  }

  @Test func `streams that are gone leave no memory behind`() throws {
    let pair = try SessionPair()
    let fields = requestHead + (0..<500).map { HeaderField("a\($0)", "b") }
    for _ in 0..<20 {
      let streams = try (0..<10).map { _ in
        try #require(pair.client.submitRequest(fields, endStream: true))
      }
      try pair.pump()
      for stream in streams {
        pair.server.submitResponse(stream, responseHead, endStream: false)
        pair.server.send(stream, [UInt8](repeating: 7, count: 1_000_000))
        pair.client.reset(stream, .cancel)
      }
      try pair.pump()
    }
    #expect(pair.server.heldBytes == 0)
    #expect(pair.server.spareBytes < 200_000)
  }

  @Test func `header fields count as what they take: bytes that are not UTF-8 for three each`()
    throws
  {
    var limits = HTTP2SessionLimits()
    limits.maxHeaderListBytes = 4_096
    for (count, isOversized) in [(1_000, false), (2_000, true)] {
      let server = try HTTP2Session(role: .server, limits: limits)
      var call = RawFrame.call(1, end: true)
      // A literal without indexing whose value is no UTF-8, but may stand in a field (RFC 9110, 5.5).
      call.payload +=
        [0, 1, 98, 127] + [UInt8((count - 127) & 127) | 128, UInt8((count - 127) >> 7)]
      call.payload += [UInt8](repeating: 0xa9, count: count)
      try server.receive(RawFrame.hello + call.bytes)
      let heads = server.takeEvents().compactMap { event -> (size: Int, isOversized: Bool)? in
        guard case .head(_, let fields, _, let isOversized) = event else { return nil }
        return (fields.listSize, isOversized)
      }
      #expect(heads.map(\.isOversized) == [isOversized])
      #expect(heads.allSatisfy { $0.size <= 4_096 })
    }
  }
}
