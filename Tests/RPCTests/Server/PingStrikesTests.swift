import NIOCore
import Testing

@testable import RPC

/// Enforcement of gRPC's keepalive rules (doc/keepalive.md, gRFC A8).
@Suite(.timeLimit(.minutes(5))) struct PingStrikesTests {
  private static let second: UInt64 = 1_000_000_000

  @Test func `a ping each interval is welcome while calls run`() {
    var pings = PingStrikes(PingStrikes.Limits())
    for index in 1...100 as ClosedRange<UInt64> {
      let isWelcome = pings.ping(at: index * 300 * Self.second, hasCalls: true)
      #expect(isWelcome)
    }
    #expect(pings.strikes == 0)
  }

  @Test func `the third early ping ends the connection`() {
    var pings = PingStrikes(PingStrikes.Limits())
    let answers = (1...4).map { pings.ping(at: $0 * 299 * Self.second, hasCalls: true) }
    #expect(answers == [true, true, true, false])
  }

  @Test func `what is sent in between forgives strikes and frees the next ping`() {
    var pings = PingStrikes(PingStrikes.Limits())
    for index in 1...1000 as ClosedRange<UInt64> {
      let isWelcome = pings.ping(at: index, hasCalls: true)
      #expect(isWelcome)
      if index.isMultiple(of: 3) { pings.sentData() }
    }
  }

  @Test func `without calls a ping is welcome every two hours, unless it is permitted`() {
    var strict = PingStrikes(PingStrikes.Limits())
    var answers = (1...4).map { strict.ping(at: $0 * 7199 * Self.second, hasCalls: false) }
    #expect(answers == [true, true, true, false])
    strict = PingStrikes(PingStrikes.Limits())
    answers = (1...4).map { strict.ping(at: $0 * 7200 * Self.second, hasCalls: false) }
    #expect(answers == [true, true, true, true])
    var permissive = PingStrikes(PingStrikes.Limits(interval: 10, withoutCalls: true))
    answers = (1...4).map { permissive.ping(at: $0 * 10, hasCalls: false) }
    #expect(answers == [true, true, true, true])
  }

  @Test func `too many pings end the connection and the client reads why`() async throws {
    try await withServer { _, port in
      let pings = [RawFrame](repeating: .ping, count: 4)
      let frames = try await RawSocket.exchange(port: port, RawFrame.hello + pings.bytes)
      #expect(frames.goAway?.code == 11)
      #expect(frames.goAway?.debug == "too_many_pings")
    }
  }

  @Test func `the GOAWAY arrives though the client goes on sending`() async throws {
    try await withServer { _, port in
      let (socket, channel) = try await RawSocket.connect(port: port)
      let flood = [RawFrame](repeating: .ping, count: 1000).bytes
      try? await channel.writeAndFlush(ByteBuffer(bytes: RawFrame.hello + flood))
      while (try? await channel.writeAndFlush(ByteBuffer(bytes: flood))) != nil {}
      try await channel.closeFuture.get()
      #expect(socket.frames.goAway?.debug == "too_many_pings")
    }
  }

  @Test func `pings between responses are free`() async throws {
    var configuration = ServerConfiguration()
    configuration.minPingInterval = .seconds(300)
    try await withServer(EchoService(), configuration) { _, port in
      let (socket, channel) = try await RawSocket.connect(port: port)
      try await channel.writeAndFlush(ByteBuffer(bytes: RawFrame.hello))
      for index in 0..<20 as Range<UInt32> {
        let stream = 2 * index + 1
        let frames: [RawFrame] = [
          .ping, .call(stream), .data(stream, [0, 0, 0, 0, 1, 65], end: true),
        ]
        try await channel.writeAndFlush(ByteBuffer(bytes: frames.bytes))
        _ = await socket.wait {
          $0.contains { $0.type == 1 && $0.flags & 1 == 1 && $0.stream == stream }
        }
      }
      #expect(socket.frames.goAway == nil)
      #expect(
        socket.frames.count { $0 == RawFrame(type: 6, flags: 1, payload: RawFrame.ping.payload) }
          == 20
      )
      try await channel.close()
    }
  }
}
