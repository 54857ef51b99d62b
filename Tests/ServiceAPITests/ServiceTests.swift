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

  @Test func `a service registers its methods`() {
    var router = Router()
    router.register(Implementation())
  }

  private struct Implementation: TestV1.EverythingService {
    func single(_ request: TestV1.Scalars, context: ServerContext) async throws -> TestV1.Lists {
      TestV1.Lists()
    }

    func serverStream(
      _ request: TestV1.Scalars,
      context: ServerContext,
      responses: ResponseWriter<TestV1.Tree>
    ) async throws {
      try await responses.write(TestV1.Tree())
    }

    func clientStream(
      _ requests: RequestStream<TestV1.Lists>,
      context: ServerContext
    )
      async throws -> TestV1.Empty
    {
      TestV1.Empty()
    }

    func bothStream(
      _ requests: RequestStream<TestV1.Choices>,
      context: ServerContext,
      responses: ResponseWriter<TestV1.Maps>
    ) async throws {}
  }
}
