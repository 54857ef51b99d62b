import NIOCore
import Synchronization
import Testing

@testable import RPC

/// How often and how long channels try to connect.
@Suite(.timeLimit(.minutes(5))) struct ReconnectTests {
  @Test func `a server that ends its first connection is reached behind one that refuses`()
    async throws
  {
    try await RawServer.with(
      { server, stream, before in
        guard before == 0 else { return server.session.answer(stream, "\(before)") }
        server.send(RawServer.goAway(lastStream: 0))
      },
      target: { "static:127.0.0.1:1,127.0.0.1:\($0)" }
    ) { channel in
      let answer: Bytes = try await channel.unary(
        EchoMethods.unary,
        Bytes("x"),
        options: CallOptions(timeout: .seconds(60), waitForReady: true)
      )
      #expect(answer == "1")
    }
  }

  /// Counts attempts to connect: those to `10.0.0.1` come to nothing, others are refused.
  private static func counting(_ attempts: Attempts) -> Connector {
    Connector { attempt in
      attempts.add(attempt.host)
      guard attempt.host == "10.0.0.1" else {
        return attempt.eventLoop.makeFailedFuture(ChannelError.eof)
      }
      return attempt.eventLoop.scheduleTask(in: .seconds(60)) { throw ChannelError.eof }
        .futureResult
    }
  }

  private final class Attempts: Sendable {
    private let counts = Mutex<[String: Int]>([:])

    func add(_ host: String) { counts.withLock { $0[host, default: 0] += 1 } }

    subscript(host: String) -> Int { counts.withLock { $0[host, default: 0] } }
  }

  /// Lists that a name stands for, one after the other and again from the first.
  @Test(arguments: [
    [["10.0.0.1", "10.0.0.2"]],
    [["10.0.0.1", "10.0.0.2"], ["10.0.0.1", "10.0.0.2", "10.0.0.3"]],
  ])
  func `however often a name is looked up, a server that refuses keeps its back-off`(
    lists: [[String]]
  ) async throws {
    let looks = Counter()
    let attempts = Attempts()
    var configuration = ChannelConfiguration()
    configuration.backoffInitial = .seconds(3600)
    configuration.backoffMax = .seconds(3600)
    configuration.connectTimeout = .seconds(60)
    configuration.resolutionGap = .milliseconds(10)
    configuration.resolutionInterval = .milliseconds(10)
    configuration.lookup.addresses = { _ in lists[looks.increment() % lists.count] }
    configuration.connector = Self.counting(attempts)
    let channel = try RPCChannel(
      target: "llmos.test:1",
      configuration: configuration,
      group: testGroup
    )
    // More than the time in which the second address has its turn twice.
    _ = await looks.wait(above: 100)
    #expect(attempts["10.0.0.2"] == 1)
    await channel.close()
  }

  @Test func `a list that is the same as before interrupts no attempt to connect`() async throws {
    let looks = Counter()
    let connects = Counter()
    var configuration = ChannelConfiguration()
    configuration.resolutionGap = .milliseconds(10)
    configuration.resolutionInterval = .milliseconds(10)
    configuration.lookup.addresses = { _ in
      looks.increment()
      return ["10.0.0.1", "10.0.0.2"]
    }
    configuration.connector = Connector { attempt in
      connects.increment()
      return attempt.eventLoop.scheduleTask(in: .seconds(60)) { throw ChannelError.eof }
        .futureResult
    }
    let channel = try RPCChannel(
      target: "llmos.test:1",
      configuration: configuration,
      group: testGroup
    )
    _ = await looks.wait(above: 100)
    #expect(connects.value == 2)
    await channel.close()
  }

  @Test func `connecting and the handshake share one time`() {
    let world = SimulatedWorld(seed: 1)
    world.latenessMax = 0
    let loop = world.makeLoop("client")
    let closed = Mutex<NIODeadline?>(nil)
    var configuration = ChannelConfiguration()
    configuration.connectTimeout = .seconds(10)
    configuration.backoffInitial = .seconds(3600)
    configuration.backoffMax = .seconds(3600)
    configuration.random = world.random
    configuration.connector = Connector { attempt in
      let promise = attempt.eventLoop.makePromise(of: Void.self)
      _ = world.schedule(at: world.now + .seconds(8), on: loop, isForeign: false) {
        // A peer that says nothing.
        let socket = SimulatedSocket(loop)
        socket.closeFuture.whenComplete { _ in closed.withLock { $0 = world.now } }
        try? attempt.configure(socket)
        promise.succeed()
        socket.activate()
      }
      return promise.futureResult
    }
    let core = ChannelCore(
      target: ChannelTarget(host: "10.0.0.1", port: 1),
      configuration: configuration,
      eventLoop: loop
    )
    let began = world.now
    loop.execute { core.start() }
    while closed.withLock({ $0 }) == nil, world.step() {}
    let end = closed.withLock { $0 } ?? .distantFuture
    #expect(end >= began + .seconds(10) && end < began + .seconds(11))
    loop.execute { core.close(nil) }
    while world.now < began + .seconds(20), world.step() {}
  }
}
