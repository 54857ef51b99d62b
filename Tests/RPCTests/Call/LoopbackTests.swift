import RPC
import Testing

@Suite(.timeLimit(.minutes(5))) struct LoopbackTests {
  @Test func `a unary call returns the handler's response`() async throws {
    try await withLoopback { channel, _ in
      let response: Bytes = try await channel.unary(EchoMethods.unary, Bytes("hello"))
      #expect(response == "hello")
    }
  }

  @Test func `an empty message is a message`() async throws {
    try await withLoopback { channel, _ in
      let response: Bytes = try await channel.unary(EchoMethods.unary, Bytes(""))
      #expect(response == "")
    }
  }

  @Test func `a server stream gives its messages in order and ends`() async throws {
    try await withLoopback { channel, _ in
      let responses: ResponseStream<Bytes> = try await channel.serverStreaming(
        EchoMethods.expand,
        Bytes("abc")
      )
      var seen: [String] = []
      for try await response in responses { seen.append(response.text) }
      #expect(seen == ["a", "b", "c"])
    }
  }

  @Test func `a client stream is collected into one response`() async throws {
    try await withLoopback { channel, _ in
      let response: Bytes = try await channel.clientStreaming(EchoMethods.collect) {
        (requests: RequestWriter<Bytes>) in
        for part in ["one ", "two ", "three"] { try await requests.write(Bytes(part)) }
      }
      #expect(response == "one two three")
    }
  }

  @Test func `a bidirectional call answers each request before the next`() async throws {
    try await withLoopback { channel, _ in
      let call: BidirectionalCall<Bytes, Bytes> = try await channel.bidirectional(EchoMethods.chat)
      var responses = call.responses.makeAsyncIterator()
      for text in ["a", "bb", "ccc"] {
        try await call.requests.write(Bytes(text))
        #expect(try await responses.next() == Bytes(text))
      }
      call.requests.finish()
      #expect(try await responses.next() == nil)
    }
  }

  @Test func `many calls at once all get their own answers`() async throws {
    try await withLoopback { channel, _ in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for index in 0..<500 {
          group.addTask {
            let response: Bytes = try await channel.unary(
              EchoMethods.unary,
              Bytes("request \(index)")
            )
            #expect(response.text == "request \(index)")
          }
        }
        try await group.waitForAll()
      }
    }
  }
}
