import Logging
import NIOCore
import Testing

@testable import RPC

/// Bounds of connections, of the memory of all of them, and of log lines.
@Suite(.timeLimit(.minutes(5))) struct ServerLimitsTests {
  @Test func `connections are bounded in all and by address`() {
    var limiter = ConnectionLimiter(total: 4, perAddress: 2)
    let answers = ["a", "a", "a", "b", nil, "c"].map { limiter.admit($0) }
    #expect(answers == [nil, nil, .address("a", 2), nil, nil, .total(4)])
    limiter.release("a")
    limiter.release(nil)
    let again = ["a", "a", "c", "d"].map { limiter.admit($0) }
    #expect(again == [nil, .address("a", 2), nil, .total(4)])
    for address in ["a", "a", "b", "c"] { limiter.release(address) }
    #expect(limiter.count == 0)
  }

  @Test func `few log lines of a kind pass, and say how many did not`() {
    let gate = LogGate(burst: 2, perSecond: 1)
    let answers = (0..<5).map { _ in gate.pass(at: 1) }
    #expect(answers == [0, 0, nil, nil, nil])
    #expect(gate.pass(at: 1_000_000_002) == 3)
    #expect(gate.pass(at: 2_000_000_003) == 0)
  }

  @Test func `memory of all connections is bounded by equal shares`() {
    let kiB = 1024
    let shared = SharedByteBudget(limit: 1000 * kiB)
    let budgets = (0..<4).map { _ in ByteBudget(limit: 10_000 * kiB, shared: shared) }
    shared.membersChanged(by: 4)
    budgets[0].add(900 * kiB)
    budgets[1].add(100 * kiB)
    #expect(budgets.map(\.isExceeded) == [false, false, false, false])
    budgets[2].add(200 * kiB)
    // The one with much ends, not those with little.
    #expect(budgets.map(\.isExceeded) == [true, false, false, false])
    budgets[0].add(-600 * kiB)
    #expect(budgets.map(\.isExceeded) == [false, false, false, false])
    #expect(shared.usedBytes == 600 * kiB)
    for (budget, bytes) in zip(budgets, [300, 100, 200]) { budget.add(-bytes * kiB) }
    #expect(shared.usedBytes == 0)
  }

  @Test func `small changes are told to the others late, but all that is let go`() async {
    let shared = SharedByteBudget(limit: 1000)
    let budget = ByteBudget(limit: 1_000_000, shared: shared)
    budget.add(ByteBudget.grainBytes - 1)
    #expect(shared.usedBytes == 0)
    budget.add(1)
    #expect(shared.usedBytes == ByteBudget.grainBytes)
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<4 {
        group.addTask {
          for _ in 0..<1000 {
            budget.add(10_000)
            budget.add(-10_000)
          }
        }
      }
    }
    budget.add(-ByteBudget.grainBytes)
    #expect(budget.usedBytes == 0)
    #expect(shared.usedBytes == 0)
  }

  @Test func `a connection above its address's bound is refused, and logged`() async throws {
    var configuration = ServerConfiguration()
    configuration.maxConnectionsPerAddress = 2
    let log = LogCapture()
    configuration.logger = log.logger
    try await withServer(EchoService(), configuration, logLevel: .warning) { _, port in
      let kept = [
        try await RawSocket.connect(port: port), try await RawSocket.connect(port: port),
      ]
      for (socket, channel) in kept {
        try await channel.writeAndFlush(ByteBuffer(bytes: RawFrame.hello))
        _ = await socket.wait { $0.contains(.settingsAck) }
      }
      for _ in 0..<20 { #expect(try await RawSocket.exchange(port: port, []) == []) }
      let lines = log.lines.filter { $0.hasPrefix("connection refused") }
      #expect((1..<20).contains(lines.count))
      #expect(lines.first?.contains("127.0.0.1 has 2 connections") == true)
      // One that ends makes room.
      try await kept[0].1.close()
      while try await RawSocket.exchange(port: port, RawFrame.hello + RawFrame.bad.bytes).isEmpty {}
      try await kept[1].1.close()
    }
  }

  @Test func `half-sent requests on many connections are bounded together`() async throws {
    var configuration = ServerConfiguration()
    configuration.maxTotalBufferedBytes = 1024 * 1024
    try await withServer(EchoService(), configuration) { server, port in
      var channels: [(socket: RawSocket, channel: any Channel)] = []
      let part: [UInt8] = [0, 0, 6, 0x1a, 0x80] + [UInt8](repeating: 7, count: 16_000)
      let more = RawFrame.data(1, [UInt8](repeating: 7, count: 16_000)).bytes
      for _ in 0..<5 {
        let (socket, channel) = try await RawSocket.connect(port: port)
        channels.append((socket, channel))
        try await channel.writeAndFlush(ByteBuffer(bytes: RawFrame.hello))
        // The server's larger window holds from the acknowledgement of its SETTINGS on.
        _ = await socket.wait { $0.contains { $0.type == 4 && $0.flags == 0 } }
        let begin: [RawFrame] = [.settingsAck, .call(1), .data(1, part)]
        try await channel.writeAndFlush(ByteBuffer(bytes: begin.bytes))
        for _ in 0..<20 { try await channel.writeAndFlush(ByteBuffer(bytes: more)) }
        // All of it has arrived once a ping after it is answered.
        try await channel.writeAndFlush(ByteBuffer(bytes: RawFrame.ping.bytes))
        _ = await socket.wait { $0.contains { $0.type == 6 } }
      }
      // Each holds 336,005 bytes: the fourth is above the bound and its share.
      let refused = channels.map { $0.socket.frames.contains { $0.type == 1 && $0.stream == 1 } }
      #expect(refused == [false, false, false, true, true])
      #expect(server.core.requestBytes.usedBytes <= 1024 * 1024)
      for entry in channels { try await entry.channel.close() }
    }
  }
}
