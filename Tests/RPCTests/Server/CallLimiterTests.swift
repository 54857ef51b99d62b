import Testing

@testable import RPC

/// Bounds of calls over all connections of a server.
@Suite(.timeLimit(.minutes(5))) struct CallLimiterTests {
  private static let second: UInt64 = 1_000_000_000

  private func state(_ change: (inout CallLimits) -> Void) -> CallLimiter.State {
    var limits = CallLimits()
    change(&limits)
    return CallLimiter.State(limits)
  }

  // MARK: Decisions

  @Test func `calls at once are bounded, and one that ends makes room`() {
    var state = state { $0.concurrentCalls = 2 }
    let first = (0..<3).map { _ in state.admit("/a/B", peer: "p", at: 1) }
    #expect(first.map { $0 == nil } == [true, true, false])
    #expect(first[2]?.pushbackMilliseconds == 100)
    state.release("/a/B")
    let again = state.admit("/a/C", peer: "q", at: 1)
    #expect(again == nil)
    #expect(state.running == 2)
  }

  @Test func `a method's bound leaves the others alone`() {
    var state = state { $0.concurrentCallsOfMethods = ["/a/B": 1] }
    let answers = ["/a/B", "/a/B", "/a/C", "/a/C"].map { state.admit($0, peer: "p", at: 1) == nil }
    #expect(answers == [true, false, true, true])
    state.release("/a/B")
    let again = state.admit("/a/B", peer: "p", at: 1)
    #expect(again == nil)
  }

  @Test func `a rate lets a burst pass, then says when the next call may begin`() {
    var state = state { $0.rate = CallRate(perSecond: 10, burst: 3) }
    let burst = (0..<4).map { _ in state.admit("/a/B", peer: "p", at: Self.second) }
    #expect(burst.map { $0 == nil } == [true, true, true, false])
    #expect(burst[3]?.pushbackMilliseconds == 101)
    let early = state.admit("/a/B", peer: "p", at: Self.second + 99_000_000)
    #expect(early != nil)
    let later = state.admit("/a/B", peer: "p", at: Self.second + 100_000_000)
    #expect(later == nil)
  }

  @Test func `a client that asks too often takes nothing from the others`() {
    var state = state {
      $0.rate = CallRate(perSecond: 1, burst: 4)
      $0.ratePerPeer = CallRate(perSecond: 1, burst: 2)
    }
    let greedy = (0..<100).map { _ in state.admit("/a/B", peer: "greedy", at: 1) == nil }
    #expect(greedy.count { $0 } == 2)
    let modest = (0..<2).map { _ in state.admit("/a/B", peer: "modest", at: 1) == nil }
    #expect(modest == [true, true])
    let third = state.admit("/a/B", peer: "third", at: 1)
    #expect(third?.reason == "too many calls per second")
  }

  @Test func `clients are forgotten once their rate is whole again, and never too many kept`() {
    var peers = PeerRates(CallRate(perSecond: 1, burst: 2), peersMax: 3)
    for peer in ["a", "b", "c"] { #expect(peers.take(peer, at: Self.second) == nil) }
    // There is no room: newcomers share one rate.
    let newcomers = ["d", "e", "f"].map { peers.take($0, at: Self.second) == nil }
    #expect(newcomers == [true, true, false])
    #expect(peers.count == 3)
    // The known ones keep theirs.
    let known = peers.take("a", at: Self.second)
    #expect(known == nil)
    let late = ["d", "e", "f"].map { peers.take($0, at: 4 * Self.second) == nil }
    #expect(late == [true, true, true])
    #expect(peers.count == 3)
  }

  @Test func `services that are exempt have no bound`() throws {
    var limits = CallLimits()
    limits.concurrentCalls = 0
    let limiter = try #require(CallLimiter(limits))
    let check = MethodDescriptor(service: "grpc.health.v1.Health", method: "Check", kind: .unary)
    #expect(try limiter.admit(check, peer: "p", at: 1) == nil)
    #expect(throws: RPCError.self) {
      try limiter.admit(EchoMethods.unary, peer: "p", at: 1)
    }
    #expect(CallLimiter(CallLimits()) == nil)
  }

  // MARK: On the wire

  @Test func `a call above the bound is RESOURCE_EXHAUSTED and says when to retry`() async throws {
    var configuration = ServerConfiguration()
    configuration.callLimits.concurrentCalls = 1
    configuration.callLimits.pushback = .milliseconds(250)
    let (started, gate) = (Signal(), Signal())
    var service = EchoService()
    service.unary = { request, _ in
      started.set()
      await gate.wait()
      return request
    }
    try await withServer(service, configuration) { _, port in
      let channels = (0..<2).map { _ in
        RPCChannel(host: "127.0.0.1", port: port, group: testGroup)
      }
      async let first: Bytes = channels[0].unary(EchoMethods.unary, Bytes("first"))
      await started.wait()
      let error = try await failure {
        try await channels[1].unary(EchoMethods.unary, Bytes("second")) as Bytes
      }
      #expect(error.code == .resourceExhausted)
      #expect(error.metadata.first("grpc-retry-pushback-ms") == "250")
      gate.set()
      #expect(try await first == "first")
      #expect(try await channels[1].unary(EchoMethods.unary, Bytes("third")) == Bytes("third"))
      for channel in channels { await channel.close() }
    }
  }

  @Test func `a handler that goes on after its call still counts`() async throws {
    var configuration = ServerConfiguration()
    configuration.callLimits.concurrentCalls = 1
    let (started, cancelled, gate) = (Signal(), Signal(), Signal())
    let ended = Counter()
    var service = EchoService()
    service.unary = { request, _ in
      guard request == "stubborn" else { return request }
      started.set()
      await waitForCancellation(cancelled)
      // A task of its own: waiting in this one ends with its cancellation.
      await Task { await gate.wait() }.value
      return request
    }
    configuration.onCallEnd = { _ in ended.increment() }
    try await withLoopback(service, server: configuration) { channel, _ in
      let stubborn = Task {
        try await channel.unary(EchoMethods.unary, Bytes("stubborn")) as Bytes
      }
      await started.wait()
      stubborn.cancel()
      _ = try? await stubborn.value
      _ = await ended.wait(above: 0)
      let error = try await failure {
        try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes
      }
      #expect(error.code == .resourceExhausted)
      gate.set()
      while (try? await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes) == nil {
        try Task.checkCancellation()
      }
    }
  }

  @Test func `calls of every kind and end are counted out`() async throws {
    var configuration = ServerConfiguration()
    configuration.callLimits.concurrentCalls = 1000
    var service = EchoService()
    service.unary = { request, _ in
      if request == "bad" { throw RPCError(.notFound, "nothing") }
      return request
    }
    try await withLoopback(service, server: configuration) { channel, server in
      for index in 0..<20 {
        _ = try await failure {
          try await channel.unary(EchoMethods.unary, Bytes("bad")) as Bytes
        }
        let chat: BidirectionalCall<Bytes, Bytes> = try await channel.bidirectional(
          EchoMethods.chat
        )
        try await chat.requests.write("x")
        if index.isMultiple(of: 2) { chat.responses.cancel() } else { chat.requests.finish() }
        var responses = chat.responses.makeAsyncIterator()
        _ = try? await responses.next()
      }
      await channel.close()
      await server.shutdown(grace: .seconds(10))
      #expect(server.core.callLimiter?.running == 0)
    }
  }

  @Test func `a client that begins calls too fast is told the time to wait`() async throws {
    var configuration = ServerConfiguration()
    configuration.callLimits.ratePerPeer = CallRate(perSecond: 0.001, burst: 2)
    try await withLoopback(server: configuration) { channel, _ in
      for _ in 0..<2 { _ = try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes }
      let error = try await failure {
        try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes
      }
      #expect(error.code == .resourceExhausted)
      let pushback = try #require(
        error.metadata.first("grpc-retry-pushback-ms").flatMap { Int($0) }
      )
      #expect((900_000...1_000_001).contains(pushback))
    }
  }
}
