import RPC
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(5))) struct CancellationTests {
  @Test func `cancelling the client's task cancels the handler`() async throws {
    let (started, cancelled) = (Signal(), Signal())
    var service = EchoService()
    service.unary = { request, _ in
      started.set()
      await waitForCancellation(cancelled)
      throw CancellationError()
    }
    try await withLoopback(service) { channel, _ in
      let task = Task {
        try await failure { try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes }
      }
      await started.wait()
      task.cancel()
      let error = try await task.value
      #expect(error.code == .cancelled)
      await cancelled.wait()
    }
  }

  @Test func `a handler that ends its own call by what it writes is cancelled`() async throws {
    let cancelled = Signal()
    var service = EchoService()
    service.expand = { _, context, responses in
      var metadata = Metadata()
      metadata.add(String(repeating: "x", count: 70_000), for: "large")
      context.setInitialMetadata(metadata)
      try await responses.write("one")
      await waitForCancellation(cancelled)
    }
    try await withLoopback(service) { channel, _ in
      let error = try await failure {
        let responses: ResponseStream<Bytes> = try await channel.serverStreaming(
          EchoMethods.expand,
          Bytes("")
        )
        for try await _ in responses {}
      }
      #expect(error.code == .resourceExhausted)
      await cancelled.wait()
    }
  }

  @Test func `a task that is cancelled before it calls gets CANCELLED`() async throws {
    try await withLoopback { channel, _ in
      let gate = Signal()
      let task = Task {
        await gate.wait()
        return try await failure {
          try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes
        }
      }
      task.cancel()
      gate.set()
      let error = try await task.value
      #expect(error.code == .cancelled)
    }
  }

  @Test func `dropping a response stream cancels the handler`() async throws {
    let cancelled = Signal()
    var service = EchoService()
    service.expand = { _, _, responses in
      try await responses.write("one")
      await waitForCancellation(cancelled)
    }
    try await withLoopback(service) { channel, _ in
      do {
        let responses: ResponseStream<Bytes> = try await channel.serverStreaming(
          EchoMethods.expand,
          Bytes("")
        )
        for try await response in responses {
          #expect(response == "one")
          break
        }
      }
      await cancelled.wait()
    }
  }

  @Test func `a handler that writes to a client which is gone gets CANCELLED`() async throws {
    let code = Mutex<StatusCode?>(nil)
    let ended = Signal()
    var service = EchoService()
    service.expand = { _, _, responses in
      defer { ended.set() }
      do {
        while true { try await responses.write(Bytes([UInt8](repeating: 1, count: 10_000))) }
      } catch {
        code.withLock { $0 = (error as? RPCError)?.code }
        throw error
      }
    }
    try await withLoopback(service) { channel, _ in
      let responses: ResponseStream<Bytes> = try await channel.serverStreaming(
        EchoMethods.expand,
        Bytes("")
      )
      var iterator = responses.makeAsyncIterator()
      #expect(try await iterator.next() != nil)
      responses.cancel()
      await ended.wait()
      #expect(code.withLock { $0 } == .cancelled)
      let error = try await failure { while try await iterator.next() != nil {} }
      #expect(error.code == .cancelled)
    }
  }

  @Test func `a connection that breaks cancels its handlers at once`() async throws {
    let (started, cancelled) = (Signal(), Signal())
    var service = EchoService()
    service.unary = { request, _ in
      started.set()
      await waitForCancellation(cancelled)
      throw CancellationError()
    }
    try await withServer(service) { _, port in
      let channel = RPCChannel(host: "127.0.0.1", port: port, group: testGroup)
      let task = Task {
        try await failure { try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes }
      }
      await started.wait()
      await channel.close()
      await cancelled.wait()
      let error = try await task.value
      #expect(error.code == .cancelled)
    }
  }

  @Test func `a call that ends leaves nothing behind for the next`() async throws {
    try await withLoopback { channel, _ in
      for _ in 0..<300 {
        let call: BidirectionalCall<Bytes, Bytes> = try await channel.bidirectional(
          EchoMethods.chat
        )
        try await call.requests.write("x")
        call.responses.cancel()
      }
      let response: Bytes = try await channel.unary(EchoMethods.unary, Bytes("alive"))
      #expect(response == "alive")
    }
  }
}
