import NIOCore
import Synchronization
import Testing

@testable import RPC

/// Age and idleness of connections (gRFC A9).
@Suite(.timeLimit(.minutes(5))) struct ConnectionLifetimeTests {
  private static func at(_ seconds: Int64) -> NIODeadline {
    .uptimeNanoseconds(1_000_000_000_000) + .seconds(seconds)
  }

  private static func lifetime(
    age: Int64? = nil,
    grace: Int64? = nil,
    idle: Int64? = nil,
    jitter: Double = 0
  ) -> ConnectionLifetime {
    ConnectionLifetime(
      ConnectionLifetime.Limits(
        age: age.map { .seconds($0) },
        ageGrace: grace.map { .seconds($0) },
        idle: idle.map { .seconds($0) }
      ),
      at: at(0),
      jitter: jitter
    )
  }

  /// What is due at each of those seconds.
  private func checks(
    _ lifetime: inout ConnectionLifetime,
    at seconds: Int64...
  ) -> [ConnectionLifetime.Action?] {
    seconds.map { lifetime.check(at: Self.at($0)) }
  }

  private let drainsByAge = ConnectionLifetime.Action.drain(
    reason: "the connection reached its maximum age"
  )

  @Test func `without bounds there is nothing to wait for`() {
    var lifetime = Self.lifetime()
    #expect(lifetime.nextCheck(after: Self.at(0)) == nil)
    let actions = checks(&lifetime, at: 1_000_000)
    #expect(actions == [nil])
  }

  @Test(arguments: [(-1.0, Int64(90)), (0, 100), (1, 110)])
  func `the age varies by a tenth`(jitter: Double, expected: Int64) {
    var lifetime = Self.lifetime(age: 100, jitter: jitter)
    #expect(lifetime.nextCheck(after: Self.at(0)) == Self.at(expected))
    let actions = checks(&lifetime, at: expected - 1, expected, expected + 1000)
    #expect(actions == [nil, drainsByAge, nil])
    // Without a grace, calls have any time.
    #expect(lifetime.nextCheck(after: Self.at(expected)) == nil)
  }

  @Test func `after the grace the rest is cancelled, once`() {
    var lifetime = Self.lifetime(age: 100, grace: 10)
    lifetime.callBegan()
    var actions = checks(&lifetime, at: 105)
    #expect(actions == [drainsByAge])
    #expect(lifetime.nextCheck(after: Self.at(105)) == Self.at(115))
    actions = checks(&lifetime, at: 114, 115, 200)
    #expect(actions == [nil, .cancel(reason: "the connection is above its maximum age"), nil])
    #expect(lifetime.nextCheck(after: Self.at(200)) == nil)
  }

  @Test func `idleness counts from the last call's end or the connection's beginning`() {
    var lifetime = Self.lifetime(idle: 10)
    #expect(lifetime.nextCheck(after: Self.at(0)) == Self.at(10))
    lifetime.callBegan()
    var actions = checks(&lifetime, at: 50)
    #expect(actions == [nil])
    #expect(lifetime.nextCheck(after: Self.at(50)) == Self.at(60))
    lifetime.becameIdle(at: Self.at(55))
    #expect(lifetime.nextCheck(after: Self.at(60)) == Self.at(65))
    actions = checks(&lifetime, at: 64, 65)
    #expect(actions == [nil, .drain(reason: "the connection was idle")])
    #expect(lifetime.nextCheck(after: Self.at(65)) == nil)
  }

  // MARK: On the wire

  /// The streams that GOAWAY frames name, in order.
  private func lastStreams(_ frames: [RawFrame]) -> [UInt32] {
    frames.filter { $0.type == 7 }.map { frame in
      frame.payload.prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    }
  }

  @Test func `an idle connection is announced to end, then ends`() async throws {
    var configuration = ServerConfiguration()
    configuration.maxConnectionIdle = .milliseconds(20)
    try await withServer(EchoService(), configuration) { _, port in
      let frames = try await RawSocket.exchange(port: port, RawFrame.hello)
      #expect(lastStreams(frames) == [0x7fff_ffff, 0])
      #expect(frames.goAway?.code == 0)
    }
  }

  @Test func `a call outlives the age of its connection, the next goes to another`() async throws {
    var configuration = ServerConfiguration()
    configuration.maxConnectionAge = .milliseconds(300)
    let (started, gate) = (Signal(), Signal())
    let addresses = Mutex(Set<String>())
    var service = EchoService()
    service.unary = { request, context in
      _ = addresses.withLock { $0.insert(context.remoteAddress) }
      return request
    }
    service.chat = { requests, context, responses in
      _ = addresses.withLock { $0.insert(context.remoteAddress) }
      started.set()
      await gate.wait()
      for try await request in requests { try await responses.write(request) }
    }
    try await withLoopback(service, server: configuration) { channel, _ in
      let chat: BidirectionalCall<Bytes, Bytes> = try await channel.bidirectional(EchoMethods.chat)
      try await chat.requests.write("old")
      chat.requests.finish()
      await started.wait()
      while addresses.withLock({ $0.count }) < 2 {
        let options = CallOptions(readyTimeout: .seconds(20))
        _ = try await channel.unary(EchoMethods.unary, Bytes("x"), options: options) as Bytes
      }
      gate.set()
      var all: [Bytes] = []
      for try await response in chat.responses { all.append(response) }
      #expect(all == ["old"])
    }
  }

  @Test func `a call that outlives the grace is UNAVAILABLE`() async throws {
    var configuration = ServerConfiguration()
    configuration.maxConnectionAge = .milliseconds(50)
    configuration.maxConnectionAgeGrace = .milliseconds(20)
    let (started, cancelled) = (Signal(), Signal())
    var service = EchoService()
    service.unary = { request, _ in
      started.set()
      await waitForCancellation(cancelled)
      return request
    }
    try await withLoopback(service, server: configuration) { channel, _ in
      // On a slow machine the connection may drain before the call has reached it.
      let options = CallOptions(readyTimeout: .seconds(20))
      var last: RPCError?
      while !started.isSet {
        try Task.checkCancellation()
        last = try await failure {
          try await channel.unary(EchoMethods.unary, Bytes("x"), options: options) as Bytes
        }
      }
      let error = try #require(last)
      #expect(error.code == .unavailable)
      #expect(error.message.contains("maximum age"))
      await cancelled.wait()
    }
  }
}
