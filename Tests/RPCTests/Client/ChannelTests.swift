import Foundation
import Logging
import NIOCore
import Synchronization
import Testing

@testable import RPC

/// Channels as a whole: sockets of the file system, endpoints that come and go, the end.
@Suite(.timeLimit(.minutes(5))) struct ChannelTests {
  private func call(_ channel: RPCChannel) async throws -> String {
    let response: Bytes = try await channel.unary(
      EchoMethods.unary,
      Bytes("x"),
      options: CallOptions(timeout: .seconds(30), waitForReady: true)
    )
    return response.text
  }

  @Test func `a socket in the file system is a target`() async throws {
    // Such a path has at most a hundred bytes.
    let path = "/tmp/llmos-\(UInt64.random(in: 0...(.max))).sock"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try await RawServer.with({ $0.session.answer($1, "\($2)") }, unixPath: path) { channel in
      let answer = try await call(channel)
      #expect(answer == "0")
    }
  }

  @Test func `a socket that is not there is UNAVAILABLE`() async throws {
    let channel = try RPCChannel(target: "unix:/nowhere/llmos.sock", group: testGroup)
    let error = try await failure {
      try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes
    }
    #expect(error.code == .unavailable)
    #expect(error.message.contains("unix:/nowhere/llmos.sock"))
    await channel.close()
  }

  @Test func `a server that counts too many pings is asked half as often`() async throws {
    try await RawServer.with { server, stream, before in
      guard before == 0 else { return server.session.answer(stream, "\(before)") }
      server.send(
        RawServer.goAway(lastStream: 0, code: .enhanceYourCalm, debug: "too_many_pings")
      )
    } _: { channel in
      let answer = try await call(channel)
      #expect(answer == "1")
      let core = channel.lifetime.core
      let interval = try await core.eventLoop.submit { core.keepaliveInterval }.get()
      #expect(interval == .seconds(600))
    }
  }

  @Test func `our server counts our client's pings, and our client heeds it`() async throws {
    let gate = Signal()
    var service = EchoService()
    service.unary = { request, _ in
      await gate.wait()
      return request
    }
    var configuration = ChannelConfiguration()
    configuration.keepaliveInterval = .milliseconds(20)
    try await withLoopback(service, channel: configuration) { channel, _ in
      let error = try await failure { try await call(channel) }
      #expect(error.code == .unavailable)
      let core = channel.lifetime.core
      let interval = try await core.eventLoop.submit { core.keepaliveInterval }.get()
      #expect(interval > .milliseconds(20))
      gate.set()
    }
  }

  @Test func `without a keepalive interval no server is asked for life signs`() async throws {
    let (started, gate) = (Signal(), Signal())
    var service = EchoService()
    service.unary = { request, _ in
      started.set()
      await gate.wait()
      return request
    }
    var configuration = ChannelConfiguration()
    configuration.keepaliveInterval = .zero
    try await withLoopback(service, channel: configuration) { channel, _ in
      let running = Task { try await call(channel) }
      await started.wait()
      // A timer that is due at once runs in one of these turns of the loop.
      for _ in 0..<50 { _ = await channel.status() }
      let connections = await channel.status().endpoints.flatMap(\.connections)
      #expect(connections.map(\.keepalivesSent) == [0])
      gate.set()
      _ = try await running.value
    }
  }

  @Test(arguments: [Int.min, -1, 0, 1, .max])
  func `sizes beyond what HTTP/2 knows are the nearest that it does`(size: Int) async throws {
    var configuration = ChannelConfiguration()
    configuration.streamWindowBytes = size
    configuration.writeBufferBytes = size
    configuration.maxMetadataBytes = max(size, 64 * 1024)
    try await withLoopback(channel: configuration) { channel, _ in
      let answer: Bytes = try await channel.clientStreaming(EchoMethods.collect) {
        (requests: RequestWriter<Bytes>) in
        for byte in UInt8(0)..<10 { try await requests.write(Bytes([byte])) }
      }
      #expect(answer.bytes == Array(0..<10))
    }
  }

  @Test func `a channel tells what it is about`() async throws {
    let (started, gate) = (Signal(), Signal())
    var service = EchoService()
    service.unary = { request, _ in
      started.set()
      await gate.wait()
      return request
    }
    try await withServer(service) { _, port in
      let channel = try RPCChannel(
        target: "ipv4:127.0.0.1:\(port),127.0.0.1:1",
        group: testGroup
      )
      let running = Task { try await call(channel) }
      await started.wait()
      let status = await channel.status()
      #expect(status.state == .ready)
      #expect(status.endpoints.map(\.endpoint.port) == [port, 1])
      #expect(status.endpoints.map(\.state) == [.ready, .idle])
      #expect(status.endpoints.map(\.outstanding) == [1, 0])
      #expect(status.outstandingCalls == 1)
      gate.set()
      _ = try await running.value
      await channel.close()
      let closed = await channel.status()
      #expect(closed.state == .shutdown && closed.outstandingCalls == 0)
    }
  }

  @Test func `an endpoint that leaves the list ends with its last call`() async throws {
    let (started, gate) = (Signal(), Signal())
    var slow = EchoService()
    slow.unary = { _, _ in
      started.set()
      await gate.wait()
      return "first"
    }
    var fast = EchoService()
    fast.unary = { _, _ in "second" }
    try await withServer(slow) { _, port in
      try await withServer(fast, ServerConfiguration(host: "127.0.0.2", port: port)) { _, _ in
        let addresses = Mutex(["127.0.0.1"])
        var configuration = ChannelConfiguration()
        configuration.resolutionGap = .milliseconds(10)
        configuration.resolutionInterval = .milliseconds(20)
        configuration.lookup.addresses = { _ in addresses.withLock { $0 } }
        configuration.serviceConfig.loadBalancing = .roundRobin
        let channel = try RPCChannel(
          target: "llmos.test:\(port)",
          configuration: configuration,
          group: testGroup
        )
        let running = Task { try await call(channel) }
        await started.wait()
        addresses.withLock { $0 = ["127.0.0.2"] }
        // Calls that still reach the first server do not return before the gate opens.
        var answered = false
        while !answered {
          try Task.checkCancellation()
          let response: Bytes? = try? await channel.unary(
            EchoMethods.unary,
            Bytes("x"),
            options: CallOptions(timeout: .milliseconds(500), waitForReady: true)
          )
          answered = response == "second"
        }
        gate.set()
        let answer = try await running.value
        #expect(answer == "first")
        await channel.close()
      }
    }
  }

  @Test func `calls that end while they wait make room for others`() async throws {
    var configuration = ChannelConfiguration()
    configuration.maxQueuedCalls = 3
    configuration.backoffInitial = .seconds(3600)
    configuration.backoffMax = .seconds(3600)
    let channel = RPCChannel(
      host: "127.0.0.1",
      port: 1,
      configuration: configuration,
      group: testGroup
    )
    func begin(upTo count: Int) async -> Task<RPCError, any Error> {
      let running = Task { try await failure { try await call(channel) } }
      while await channel.status().outstandingCalls < count { await Task.yield() }
      return running
    }
    var calls: [Task<RPCError, any Error>] = []
    for count in 1...3 { calls.append(await begin(upTo: count)) }
    for _ in 0..<3 {
      // More than the queue has places, in turn.
      for ended in calls[..<2] {
        ended.cancel()
        #expect(try await ended.value.code == .cancelled)
      }
      calls.removeFirst(2)
      for count in 2...3 { calls.append(await begin(upTo: count)) }
      let refused = try await failure { try await call(channel) }
      #expect(refused.code == .resourceExhausted)
    }
    await channel.close()
    for waiting in calls { #expect(try await waiting.value.code == .cancelled) }
    let core = channel.lifetime.core
    let counts = try await core.eventLoop.submit { core.counts() }.get()
    #expect(counts == ChannelCore.Counts())
  }

  @Test func `closing ends the calls of every endpoint and those that wait`() async throws {
    let started = Counter()
    var service = EchoService()
    service.unary = { _, _ in
      started.increment()
      await waitForCancellation(Signal())
      throw CancellationError()
    }
    try await withServer(service) { _, first in
      try await withServer(service) { _, second in
        var configuration = ChannelConfiguration()
        configuration.serviceConfig.loadBalancing = .roundRobin
        let channel = try RPCChannel(
          target: "ipv4:127.0.0.1:\(first),127.0.0.1:\(second)",
          configuration: configuration,
          group: testGroup
        )
        let calls = (0..<6).map { _ in Task { try await failure { try await call(channel) } } }
        _ = await started.wait(above: 5)
        await channel.close()
        for call in calls {
          let error = try await call.value
          #expect(error.code == .cancelled)
        }
      }
    }
  }
}
