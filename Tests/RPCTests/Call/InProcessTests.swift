import Logging
import NIOCore
import NIOPosix
import RPC
import Testing

/// Calls to a server of the same process that listens on no port.
@Suite(.timeLimit(.minutes(5))) struct InProcessTests {
  private func makeServer(_ service: EchoService = EchoService()) -> RPCServer {
    var router = Router()
    router.register(service)
    var configuration = ServerConfiguration()
    configuration.logger.logLevel = .critical
    return RPCServer(router: router, configuration: configuration, group: testGroup)
  }

  @Test func `all four kinds of calls work without a port`() async throws {
    let server = makeServer()
    let channel = server.inProcessChannel()
    let one: Bytes = try await channel.unary(EchoMethods.unary, Bytes("one"))
    #expect(one == "one")
    let expanded: ResponseStream<Bytes> = try await channel.serverStreaming(
      EchoMethods.expand,
      Bytes("abc")
    )
    #expect(try await expanded.reduce(into: "") { $0 += $1.text } == "abc")
    let collected: Bytes = try await channel.clientStreaming(EchoMethods.collect) {
      (requests: RequestWriter<Bytes>) in
      for text in ["x", "y", "z"] { try await requests.write(Bytes(text)) }
    }
    #expect(collected == "xyz")
    let chat: BidirectionalCall<Bytes, Bytes> = try await channel.bidirectional(EchoMethods.chat)
    var replies = chat.responses.makeAsyncIterator()
    for text in ["hello", "again"] {
      try await chat.requests.write(Bytes(text))
      #expect(try await replies.next() == Bytes(text))
    }
    chat.requests.finish()
    #expect(try await replies.next() == nil)
    await channel.close()
    await server.shutdown(grace: .zero)
  }

  @Test func `the server knows the client as one of its process`() async throws {
    var service = EchoService()
    service.unary = { _, context in Bytes(context.remoteAddress) }
    let server = makeServer(service)
    let channel = server.inProcessChannel(group: testGroup)
    let address: Bytes = try await channel.unary(EchoMethods.unary, Bytes(""))
    #expect(address == "in-process")
    await channel.close()
    await server.shutdown(grace: .zero)
  }

  @Test func `a channel opens a new pair when its connection ends`() async throws {
    let gate = Signal()
    var service = EchoService()
    service.unary = { request, context in
      await gate.wait()
      return request
    }
    var router = Router()
    router.register(service)
    var configuration = ServerConfiguration()
    configuration.logger.logLevel = .critical
    // One call that resets before its response ends the connection.
    configuration.earlyResetBurst = 0
    let server = RPCServer(router: router, configuration: configuration, group: testGroup)
    let channel = server.inProcessChannel()
    let error = try await failure {
      try await channel.unary(
        EchoMethods.unary,
        Bytes("late"),
        options: CallOptions(timeout: .milliseconds(20))
      )
        as Bytes
    }
    #expect(error.code == .deadlineExceeded)
    gate.set()
    let answer: Bytes = try await channel.unary(
      EchoMethods.unary,
      Bytes("after"),
      options: CallOptions(readyTimeout: .seconds(30))
    )
    #expect(answer == "after")
    await channel.close()
    await server.shutdown(grace: .zero)
  }

  @Test func `a server that is started serves both, and its end is theirs`() async throws {
    let server = makeServer()
    let address = try await server.start()
    let far = RPCChannel(host: "127.0.0.1", port: address.port ?? 0, group: testGroup)
    let near = server.inProcessChannel()
    for channel in [far, near] {
      let answer: Bytes = try await channel.unary(EchoMethods.unary, Bytes("here"))
      #expect(answer == "here")
    }
    await server.shutdown(grace: .seconds(5))
    for channel in [far, near] {
      let error = try await failure {
        try await channel.unary(EchoMethods.unary, Bytes("gone")) as Bytes
      }
      #expect(error.code == .unavailable)
      await channel.close()
    }
  }
}
