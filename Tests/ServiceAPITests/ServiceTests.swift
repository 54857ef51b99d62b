import NIOCore
import NIOPosix
import RPC
import ServiceAPI
import Testing

@Suite struct ServiceTests {
  @Test func `methods have their names, kinds and paths`() {
    #expect(TestV1.EverythingMethods.single.path == "/llmos.test.v1.Everything/Single")
    #expect(TestV1.EverythingMethods.single.kind == .unary)
    #expect(TestV1.EverythingMethods.serverStream.kind == .serverStreaming)
    #expect(TestV1.EverythingMethods.clientStream.kind == .clientStreaming)
    #expect(TestV1.EverythingMethods.bothStream.kind == .bidirectional)
    #expect(HealthV1.HealthMethods.watch.path == "/grpc.health.v1.Health/Watch")
    #expect(Implementation.serviceName == "llmos.test.v1.Everything")
  }

  @Test(.timeLimit(.minutes(5)))
  func `a client's calls of every kind reach the service and come back`() async throws {
    try await withClient { client in
      let lists = try await client.single(Samples.scalars)
      #expect(lists.nested == [Samples.scalars.nested])

      var trees: [TestV1.Tree] = []
      for try await tree in try await client.serverStream(Samples.scalars) { trees.append(tree) }
      #expect(trees == (1...3).map { Samples.tree(depth: $0) })

      let empty = try await client.clientStream { requests in
        for _ in 0..<3 { try await requests.write(Samples.lists) }
      }
      #expect(empty == TestV1.Empty())

      let call = try await client.bothStream()
      try await call.requests.write(Samples.choices)
      try await call.requests.write(TestV1.Choices())
      call.requests.finish()
      var maps: [TestV1.Maps] = []
      for try await map in call.responses { maps.append(map) }
      #expect(maps.map(\.byName) == [["again": ""], ["none": ""]])
    }
  }

  @Test(.timeLimit(.minutes(5)))
  func `a request that cannot be encoded fails and the next one succeeds`() async throws {
    try await withClient { client in
      var request = TestV1.Scalars()
      request.stringValue = "\0"
      let bad = request
      let error = await #expect(throws: RPCError.self) { try await client.single(bad) }
      #expect(error?.code == .internal)
      _ = try await client.single(Samples.scalars)
    }
  }

  private func withClient(_ body: (TestV1.EverythingClient) async throws -> Void) async throws {
    var router = Router()
    router.register(Implementation())
    let group = MultiThreadedEventLoopGroup.singleton
    let server = RPCServer(router: router, configuration: ServerConfiguration(), group: group)
    let address = try await server.start()
    let port = try #require(address.port)
    let channel = RPCChannel(host: "127.0.0.1", port: port, group: group)
    do {
      try await body(TestV1.EverythingClient(channel))
    } catch {
      Issue.record(error)
    }
    await channel.close()
    await server.shutdown(grace: .seconds(1))
  }

  private struct Implementation: TestV1.EverythingService {
    func single(_ request: TestV1.Scalars, context: ServerContext) async throws -> TestV1.Lists {
      var lists = TestV1.Lists()
      lists.nested = request.nested.map { [$0] } ?? []
      return lists
    }

    func serverStream(
      _ request: TestV1.Scalars,
      context: ServerContext,
      responses: ResponseWriter<TestV1.Tree>
    ) async throws {
      for depth in 1...3 { try await responses.write(Samples.tree(depth: depth)) }
    }

    func clientStream(
      _ requests: RequestStream<TestV1.Lists>,
      context: ServerContext
    ) async throws -> TestV1.Empty {
      for try await lists in requests where lists != Samples.lists {
        throw RPCError(.invalidArgument, "not the sample")
      }
      return TestV1.Empty()
    }

    func bothStream(
      _ requests: RequestStream<TestV1.Choices>,
      context: ServerContext,
      responses: ResponseWriter<TestV1.Maps>
    ) async throws {
      for try await request in requests {
        var maps = TestV1.Maps()
        maps.byName = [request.choice == .again(TestV1.Choices()) ? "again" : "none": ""]
        try await responses.write(maps)
      }
    }
  }
}
