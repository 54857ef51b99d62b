import Testing

@testable import RPC

@Suite(.timeLimit(.minutes(5))) struct HostileBytesTests {
  private let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
  private let settings: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 0]

  private func frame(
    _ type: UInt8,
    _ flags: UInt8,
    _ stream: UInt32,
    _ payload: [UInt8]
  )
    -> [UInt8]
  {
    let length = UInt32(payload.count)
    return [
      UInt8(length >> 16 & 0xff), UInt8(length >> 8 & 0xff), UInt8(length & 0xff), type, flags,
      UInt8(stream >> 24), UInt8(stream >> 16 & 0xff), UInt8(stream >> 8 & 0xff),
      UInt8(stream & 0xff),
    ] + payload
  }

  /// HPACK of a request's pseudo-headers: POST, http, path `/`, authority `a`.
  private let headers: [UInt8] = [0x83, 0x86, 0x84, 0x41, 0x01, 0x61]

  @Test func `a bad preface ends the session`() throws {
    let session = try HTTP2Session(role: .server)
    #expect(throws: HTTP2SessionError.self) {
      try session.receive(Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8))
    }
  }

  @Test(arguments: 0..<60)
  func `random bytes never crash a session`(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    for role in [HTTP2Session.Role.server, .client] {
      let session = try HTTP2Session(role: role)
      var bytes = role == .server ? preface + settings : settings
      for _ in 0..<Int.random(in: 1...60, using: &generator) {
        let count = Int.random(in: 0...80, using: &generator)
        let payload = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
        bytes += frame(
          .random(in: 0...10, using: &generator),
          .random(in: 0...255, using: &generator),
          .random(in: 0...9, using: &generator),
          payload
        )
      }
      exhaust(session, bytes)
    }
  }

  @Test(arguments: 0..<40)
  func `a real conversation with flipped bits never crashes a session`(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    let client = try HTTP2Session(role: .client)
    for _ in 0..<4 {
      let stream = try #require(client.submitRequest(requestHead, endStream: false))
      client.send(stream, [UInt8](repeating: 7, count: 500))
      client.finish(stream, trailers: [])
    }
    var bytes: [UInt8] = []
    try client.drain(into: &bytes)
    for _ in 0..<Int.random(in: 1...8, using: &generator) {
      let index = Int.random(in: 24..<bytes.count, using: &generator)
      bytes[index] ^= 1 << UInt8.random(in: 0...7, using: &generator)
    }
    exhaust(try HTTP2Session(role: .server), bytes)
  }

  /// Feeds the bytes, answers requests, drains; errors of the session are the expected outcome.
  private func exhaust(_ session: HTTP2Session, _ bytes: [UInt8]) {
    var output: [UInt8] = []
    var rest = bytes[...]
    while !rest.isEmpty {
      do {
        try session.receive(Array(rest.prefix(97)))
        for case .head(let stream, _, _, _) in session.takeEvents() {
          session.submitResponse(stream, responseHead, endStream: false)
          session.send(stream, [1, 2, 3])
          session.finish(stream, trailers: [HeaderField("grpc-status", "0")])
        }
        try session.drain(into: &output)
      } catch {
        _ = session.takeEvents()
        return
      }
      rest = rest.dropFirst(97)
    }
  }

  @Test func `rapid resets are cut by the session's own account`() throws {
    var limits = HTTP2SessionLimits()
    limits.earlyResets = (burst: 50, perSecond: 1)
    let session = try HTTP2Session(role: .server, limits: limits)
    try session.receive(preface + settings)
    var stream: UInt32 = 1
    for _ in 0..<50 {
      try session.receive(frame(1, 4, stream, headers) + frame(3, 0, stream, [0, 0, 0, 8]))
      stream += 2
    }
    #expect(session.violation == nil)
    try session.receive(frame(1, 4, stream, headers) + frame(3, 0, stream, [0, 0, 0, 8]))
    #expect(session.violation != nil)
    var output: [UInt8] = []
    try session.drain(into: &output)
    #expect(session.isFinished)
  }

  @Test func `resets after the response began are free`() throws {
    var limits = HTTP2SessionLimits()
    limits.earlyResets = (burst: 50, perSecond: 1)
    let pair = try SessionPair(server: limits)
    for _ in 0..<500 {
      let stream = try #require(pair.client.submitRequest(requestHead, endStream: true))
      try pair.pump()
      pair.server.submitResponse(stream, responseHead, endStream: false)
      try pair.pump()
      pair.client.reset(stream, .cancel)
      try pair.pump()
    }
    #expect(pair.server.violation == nil)
    #expect(pair.server.streamCount == 0)
  }

  @Test func `early resets are forgiven with time`() throws {
    var limits = HTTP2SessionLimits()
    limits.earlyResets = (burst: 5, perSecond: 10)
    let pair = try SessionPair(server: limits)
    for _ in 0..<100 {
      let stream = try #require(pair.client.submitRequest(requestHead, endStream: true))
      try pair.pump()
      pair.client.reset(stream, .cancel)
      pair.now += 200_000_000
      try pair.pump()
    }
    #expect(pair.server.violation == nil)
  }

  @Test func `streams above the limit without end are cut`() throws {
    var limits = HTTP2SessionLimits()
    limits.maxConcurrentStreams = 10
    limits.earlyResets = (burst: 100, perSecond: 1)
    let session = try HTTP2Session(role: .server, limits: limits)
    // A client that never acknowledges the limit is refused stream by stream.
    try session.receive(preface + settings)
    for index in 0..<110 as Range<UInt32> {
      try session.receive(frame(1, 4, 2 * index + 1, headers))
    }
    #expect(session.violation == nil)
    #expect(session.streamCount == 10)
    try session.receive(frame(1, 4, 221, headers))
    #expect(session.violation == "too many streams above the limit")
  }

  @Test func `a stream above a limit that was acknowledged ends the session`() throws {
    var limits = HTTP2SessionLimits()
    limits.maxConcurrentStreams = 10
    let session = try HTTP2Session(role: .server, limits: limits)
    try session.receive(preface + settings)
    var output: [UInt8] = []
    try session.drain(into: &output)
    try session.receive(frame(4, 1, 0, []))
    for index in 0..<10 as Range<UInt32> {
      try session.receive(frame(1, 4, 2 * index + 1, headers))
    }
    try session.drain(into: &output)
    #expect(session.sentError == nil)
    try session.receive(frame(1, 4, 21, headers))
    try session.drain(into: &output)
    #expect(session.sentError == .protocolError)
    #expect(session.isFinished)
  }

  @Test func `bytes that wait to be sent are counted over all streams`() throws {
    let session = try HTTP2Session(role: .server)
    try session.receive(preface + settings)
    var output: [UInt8] = []
    for stream in [1, 3, 5] as [Int32] {
      try session.receive(frame(1, 5, UInt32(stream), headers))
      session.submitResponse(stream, responseHead, endStream: false)
      session.send(stream, [UInt8](repeating: 1, count: 100_000))
    }
    // The windows are 65,535 bytes: a message counts until all of it is sent.
    try session.drain(into: &output)
    #expect(session.heldBytes == 300_000)
    try session.receive(frame(3, 0, 1, [0, 0, 0, 8]))
    session.reset(3, .cancel)
    #expect(session.heldBytes == 100_000)
    for stream in [0, 5] as [UInt32] {
      try session.receive(frame(8, 0, stream, [0, 1, 0x86, 0xa0]))
    }
    try session.drain(into: &output)
    #expect(session.heldBytes == 0)
  }

  @Test func `a peer that asks and never reads is cut`() throws {
    var limits = HTTP2SessionLimits()
    limits.queuedFrames = 100
    let session = try HTTP2Session(role: .server, limits: limits)
    try session.receive(preface + settings)
    for _ in 0..<200 where session.violation == nil {
      try session.receive(frame(6, 0, 0, [UInt8](repeating: 0, count: 8)))
    }
    #expect(session.violation == "too many frames that it does not read")
  }

  @Test(arguments: [
    (UInt8(6), UInt32(0), [UInt8](repeating: 0, count: 8)), (2, 1, [0, 0, 0, 0, 1]),
    (4, 0, []),
  ])
  func `floods of frames that carry no work are cut`(
    type: UInt8,
    stream: UInt32,
    payload: [UInt8]
  ) throws {
    let session = try HTTP2Session(role: .server)
    try session.receive(preface + settings)
    var output: [UInt8] = []
    for _ in 0..<10_000 where session.violation == nil {
      try session.receive(frame(type, 0, stream, payload))
      try session.drain(into: &output)
    }
    #expect(session.violation != nil)
  }

  @Test func `a flood of empty DATA is cut`() throws {
    let session = try HTTP2Session(role: .server)
    try session.receive(preface + settings + frame(1, 4, 1, headers))
    for _ in 0..<10_000 where session.violation == nil {
      try session.receive(frame(0, 0, 1, []))
    }
    #expect(session.violation != nil)
  }

  @Test func `a window that overflows ends the stream or the session`() throws {
    let session = try HTTP2Session(role: .server)
    try session.receive(
      preface + settings + frame(1, 4, 1, headers) + frame(8, 0, 1, [0x7f, 0xff, 0xff, 0xff])
    )
    var output: [UInt8] = []
    try session.drain(into: &output)
    #expect(session.takeEvents().map(\.brief).contains("closed 1 FLOW_CONTROL_ERROR"))
    try session.receive(frame(8, 0, 0, [0x7f, 0xff, 0xff, 0xff]))
    try session.drain(into: &output)
    #expect(session.isFinished)
  }

  @Test func `data after the end of a request ends the session`() throws {
    let session = try HTTP2Session(role: .server)
    try session.receive(preface + settings + frame(1, 5, 1, headers) + frame(0, 0, 1, [1, 2, 3]))
    var output: [UInt8] = []
    try session.drain(into: &output)
    let events = session.takeEvents().map(\.brief)
    #expect(session.isFinished || events.contains { $0.hasPrefix("closed 1") })
  }
}
