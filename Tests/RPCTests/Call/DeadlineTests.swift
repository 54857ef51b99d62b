import RPC
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(5))) struct DeadlineTests {
  @Test func `the server sees the client's deadline and passes it on`() async throws {
    let seen = Mutex<[Duration?]>([])
    var inner = EchoService()
    inner.unary = { request, context in
      seen.withLock { $0.append(context.deadline?.remaining) }
      return request
    }
    try await withLoopback(inner) { innerChannel, _ in
      var outer = EchoService()
      outer.unary = { request, context in
        #expect(Deadline.current == context.deadline)
        let _: Bytes = try await innerChannel.unary(EchoMethods.unary, request)
        return try await innerChannel.unary(
          EchoMethods.unary,
          request,
          options: CallOptions(timeout: .seconds(3600))
        )
      }
      try await withLoopback(outer) { channel, _ in
        let _: Bytes = try await channel.unary(
          EchoMethods.unary,
          Bytes("x"),
          options: CallOptions(timeout: .seconds(30))
        )
      }
    }
    let remaining = seen.withLock { $0 }
    #expect(remaining.count == 2)
    for left in remaining { #expect(try #require(left) <= .seconds(30)) }
  }

  @Test func `a call without a deadline has none`() async throws {
    var service = EchoService()
    service.unary = { _, context in Bytes("\(context.deadline == nil)") }
    try await withLoopback(service) { channel, _ in
      let response: Bytes = try await channel.unary(EchoMethods.unary, Bytes("x"))
      #expect(response == "true")
    }
  }

  @Test func `the deadline ends the call on both sides`() async throws {
    let (started, cancelled) = (Signal(), Signal())
    var service = EchoService()
    service.unary = { request, _ in
      started.set()
      await waitForCancellation(cancelled)
      throw CancellationError()
    }
    try await withLoopback(service) { channel, _ in
      let error = try await failure {
        try await channel.unary(
          EchoMethods.unary,
          Bytes("x"),
          options: CallOptions(timeout: .milliseconds(200))
        ) as Bytes
      }
      #expect(error.code == .deadlineExceeded)
      // On a busy machine the deadline may pass before the call reaches the server.
      if started.isSet { await cancelled.wait() }
    }
  }

  @Test func `a deadline that has passed is not sent at all`() async throws {
    var service = EchoService()
    service.unary = { request, _ in
      Issue.record("the handler ran")
      return request
    }
    try await withLoopback(service) { channel, _ in
      let error = try await failure {
        try await channel.unary(
          EchoMethods.unary,
          Bytes("x"),
          options: CallOptions(timeout: .zero)
        ) as Bytes
      }
      #expect(error.code == .deadlineExceeded)
    }
  }

  @Test func `a deadline ends a stream that nobody writes to`() async throws {
    let (started, cancelled) = (Signal(), Signal())
    var service = EchoService()
    service.expand = { _, _, responses in
      started.set()
      try await responses.write("one")
      await waitForCancellation(cancelled)
    }
    try await withLoopback(service) { channel, _ in
      let error = try await failure {
        let responses: ResponseStream<Bytes> = try await channel.serverStreaming(
          EchoMethods.expand,
          Bytes(""),
          options: CallOptions(timeout: .milliseconds(100))
        )
        for try await _ in responses {}
      }
      #expect(error.code == .deadlineExceeded)
      if started.isSet { await cancelled.wait() }
    }
  }

  @Test func `deadlines are ordered and the far future is no overflow`() {
    let far = Deadline.after(.seconds(Int64.max))
    #expect(Deadline.after(.seconds(1)) < far)
    #expect(!far.hasPassed)
    let farther = Duration(secondsComponent: .max, attosecondsComponent: .max)
    #expect(Deadline.after(.seconds(1)) < .after(farther))
    #expect(Deadline.after(.seconds(-1)).hasPassed)
    #expect(Deadline.after(.seconds(Int64.min)).hasPassed)
  }
}
