import RPC
import Testing

@Suite(.timeLimit(.minutes(5))) struct FlowControlTests {
  /// One window of 128 KiB at the reader, two buffers of 64 KiB at the writer, some on the way.
  private static let bound = (128 + 2 * 64) / 8 + 4
  private static let message = Bytes([UInt8](repeating: 7, count: 8192))

  @Test func `a writer waits for a reader that does not read`() async throws {
    let written = Counter()
    var server = ServerConfiguration()
    server.writeBufferBytes = 64 * 1024
    var channel = ChannelConfiguration()
    channel.streamWindowBytes = 128 * 1024
    var service = EchoService()
    let total = 4 * 1024 * 1024 / 8192
    service.expand = { _, _, responses in
      for _ in 0..<total {
        try await responses.write(Self.message)
        written.increment()
      }
    }
    try await withLoopback(service, server: server, channel: channel) { channel, _ in
      let responses: ResponseStream<Bytes> = try await channel.serverStreaming(
        EchoMethods.expand,
        Bytes("")
      )
      var iterator = responses.makeAsyncIterator()
      #expect(try await iterator.next() == Self.message)
      // Other calls of the same connection pass while the stream stands still.
      for _ in 0..<50 {
        do {
          _ = try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes
        }
      }
      let early = written.value
      #expect(early <= Self.bound)
      var count = 1
      while try await iterator.next() != nil { count += 1 }
      #expect(count == total)
      #expect(written.value == total)
    }
  }

  @Test func `a client's writer waits for a handler that does not read`() async throws {
    let gate = Signal()
    let written = Counter()
    var server = ServerConfiguration()
    server.streamWindowBytes = 128 * 1024
    var service = EchoService()
    service.collect = { requests, _ in
      await gate.wait()
      var count = 0
      for try await _ in requests { count += 1 }
      return Bytes("\(count)")
    }
    try await withLoopback(service, server: server) { channel, _ in
      let task = Task {
        try await channel.clientStreaming(EchoMethods.collect) {
          (requests: RequestWriter<Bytes>) in
          for _ in 0..<500 {
            try await requests.write(Self.message)
            written.increment()
          }
        } as Bytes
      }
      for _ in 0..<50 { _ = try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes }
      let count = written.value
      #expect(count <= Self.bound)
      gate.set()
      let response = try await task.value
      #expect(response.text == "500")
    }
  }

  @Test func `a message larger than the window completes when it is waited for`() async throws {
    var configuration = ChannelConfiguration()
    configuration.streamWindowBytes = 65_536
    var server = ServerConfiguration()
    server.streamWindowBytes = 65_536
    let large = Bytes([UInt8](repeating: 9, count: 1_000_000))
    var service = EchoService()
    service.expand = { request, _, responses in
      for _ in 0..<3 { try await responses.write(request) }
    }
    try await withLoopback(service, server: server, channel: configuration) { channel, _ in
      let responses: ResponseStream<Bytes> = try await channel.serverStreaming(
        EchoMethods.expand,
        large
      )
      var count = 0
      for try await response in responses {
        #expect(response == large)
        count += 1
      }
      #expect(count == 3)
    }
  }

  @Test func `requests that wait on one connection are bounded in all`() async throws {
    var server = ServerConfiguration()
    server.maxBufferedBytes = 1024 * 1024
    server.maxMessageBytes = 64 * 1024
    let gate = Signal()
    var service = EchoService()
    service.collect = { requests, _ in
      await gate.wait()
      var count = 0
      for try await _ in requests { count += 1 }
      return Bytes("\(count)")
    }
    try await withLoopback(service, server: server) { channel, _ in
      let codes = try await withThrowingTaskGroup(of: StatusCode.self) { group in
        for _ in 0..<20 {
          group.addTask {
            do {
              _ =
                try await channel.clientStreaming(EchoMethods.collect) {
                  (requests: RequestWriter<Bytes>) in
                  for _ in 0..<16 { try await requests.write(Self.message) }
                } as Bytes
              return .ok
            } catch let error as RPCError {
              gate.set()
              return error.code
            }
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(codes.contains(.ok))
      #expect(codes.contains(.resourceExhausted))
      #expect(Set(codes) == [.ok, .resourceExhausted])
      let response: Bytes = try await channel.unary(EchoMethods.unary, Bytes("still here"))
      #expect(response == "still here")
    }
  }

  @Test func `hundreds of streams at once share the connection`() async throws {
    var server = ServerConfiguration()
    server.maxConcurrentStreams = 20
    try await withLoopback(server: server) { channel, _ in
      try await withThrowingTaskGroup(of: Int.self) { group in
        for _ in 0..<300 {
          group.addTask {
            let responses: ResponseStream<Bytes> = try await channel.serverStreaming(
              EchoMethods.expand,
              Bytes([UInt8](repeating: 5, count: 100))
            )
            return try await responses.reduce(0) { count, _ in count + 1 }
          }
        }
        for try await count in group { #expect(count == 100) }
      }
    }
  }
}
