import Foundation
import Logging
import NIOCore
import NIOPosix
import RPC
import ServiceAPI
import Testing

/// The handler of Shared/RPC/README.md.
private struct Greeter: GuideV1.GreeterService {
  func greet(
    _ request: GuideV1.GreetRequest,
    context: ServerContext
  ) async throws -> GuideV1.GreetReply {
    guard !request.name.isEmpty else {
      throw RPCError(.notFound, "nobody is called '\(request.name)'")
    }
    context.compressResponses(.gzip)
    let language = context.metadata.first("accept-language")
    var trailing = Metadata()
    trailing.add("1", for: "greetings")
    context.setTrailingMetadata(trailing)
    var reply = GuideV1.GreetReply()
    reply.text = language == "fr" ? "Salut, \(request.name) !" : "Hello, \(request.name)!"
    return reply
  }

  func spell(
    _ request: GuideV1.GreetRequest,
    context: ServerContext,
    responses: ResponseWriter<GuideV1.GreetReply>
  ) async throws {
    for letter in request.name {
      var reply = GuideV1.GreetReply()
      reply.text = String(letter)
      try await responses.write(reply)
    }
  }

  func greetAll(
    _ requests: RequestStream<GuideV1.GreetRequest>,
    context: ServerContext
  ) async throws -> GuideV1.GreetReply {
    var reply = GuideV1.GreetReply()
    for try await request in requests { reply.text += request.name }
    return reply
  }

  func chat(
    _ requests: RequestStream<GuideV1.GreetRequest>,
    context: ServerContext,
    responses: ResponseWriter<GuideV1.GreetReply>
  ) async throws {
    for try await request in requests {
      try await responses.write(greet(request, context: context))
    }
  }
}

/// The snippets of Shared/RPC/README.md, as they stand there.
@Suite(.timeLimit(.minutes(5))) struct GuideTests {
  private let group = MultiThreadedEventLoopGroup.singleton

  private func greeting(_ name: String) -> GuideV1.GreetRequest {
    var request = GuideV1.GreetRequest()
    request.name = name
    return request
  }

  /// Runs `body` with a client of a server without a port.
  private func withGreeter(
    _ router: Router? = nil,
    channel configuration: ChannelConfiguration = ChannelConfiguration(),
    server serverConfiguration: ServerConfiguration = ServerConfiguration(),
    _ body: (GuideV1.GreeterClient) async throws -> Void
  ) async throws {
    var plain = Router()
    plain.register(Greeter())
    let server = RPCServer(
      router: router ?? plain,
      configuration: serverConfiguration,
      group: group
    )
    let channel = server.inProcessChannel(configuration: configuration)
    do {
      try await body(GuideV1.GreeterClient(channel))
    } catch {
      await channel.close()
      await server.shutdown(grace: .zero)
      throw error
    }
    await channel.close()
    await server.shutdown(grace: .zero)
  }

  @Test func `a new RPC`() async throws {
    var router = Router()
    router.register(Greeter())
    let server = RPCServer(
      router: router,
      configuration: ServerConfiguration(port: 0),
      group: group
    )
    let address = try await server.start()
    let channel = RPCChannel(host: "127.0.0.1", port: address.port ?? 0, group: group)
    let greeter = GuideV1.GreeterClient(channel)
    var request = GuideV1.GreetRequest()
    request.name = "Ada"
    let reply = try await greeter.greet(request)
    #expect(reply.text == "Hello, Ada!")
    await channel.close()
    await server.shutdown(grace: .seconds(5))
  }

  @Test func `streams`() async throws {
    try await withGreeter { greeter in
      var text = ""
      for try await reply in try await greeter.spell(greeting("Ada")) { text += reply.text }
      #expect(text == "Ada")

      let reply = try await greeter.greetAll { requests in
        for name in ["Ada", "Grace"] { try await requests.write(greeting(name)) }
      }
      #expect(reply.text == "AdaGrace")

      let chat = try await greeter.chat()
      try await chat.requests.write(greeting("Ada"))
      chat.requests.finish()
      text = ""
      for try await reply in chat.responses { text += reply.text }
      #expect(text == "Hello, Ada!")
    }
  }

  @Test func `errors, deadlines, metadata and compression`() async throws {
    try await withGreeter { greeter in
      let error = await #expect(throws: RPCError.self) { try await greeter.greet(greeting("")) }
      #expect(error?.code == .notFound)
      _ = try await greeter.greet(greeting("Ada"), options: CallOptions(timeout: .seconds(60)))
      var options = CallOptions(compression: .gzip)
      options.metadata.add("fr", for: "accept-language")
      options.metadata.add([1, 2, 3], for: "session-bin")
      let response: UnaryResponse<GuideV1.GreetReply> = try await greeter.channel.unaryResponse(
        GuideV1.GreeterMethods.greet,
        greeting("Ada"),
        options: options
      )
      #expect(response.message.text == "Salut, Ada !")
      #expect(response.trailingMetadata.first("greetings") == "1")
    }
  }

  @Test func `retries, balancing and limits`() async throws {
    var configuration = ChannelConfiguration()
    configuration.serviceConfig = try ServiceConfig(
      json: """
        {
          "loadBalancingConfig": [{"round_robin": {}}],
          "methodConfig": [{
            "name": [{"service": "llmos.guide.v1.Greeter"}],
            "timeout": "5s",
            "retryPolicy": {
              "maxAttempts": 4, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 2,
              "retryableStatusCodes": ["UNAVAILABLE"]
            }
          }],
          "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}
        }
        """
    )
    configuration.maxOutstandingCalls = 1000
    var serverConfiguration = ServerConfiguration()
    serverConfiguration.callLimits.concurrentCalls = 100
    serverConfiguration.callLimits.ratePerPeer = CallRate(perSecond: 50, burst: 100)
    serverConfiguration.maxConnectionAge = .seconds(3600)
    try await withGreeter(channel: configuration, server: serverConfiguration) { greeter in
      let reply = try await greeter.greet(greeting("Ada"))
      #expect(reply.text == "Hello, Ada!")
      let status = await greeter.channel.status()
      #expect(status.endpoints.map(\.state) == [.ready])
    }
    configuration.serviceConfig.healthCheckService = "llmos.guide.v1.Greeter"
    #expect(configuration.serviceConfig.loadBalancing == .roundRobin)
    #expect(throws: Never.self) {
      for text in ["a:1", "dns:///a:1", "static:a:1,b:2", "ipv4:127.0.0.1:1", "unix:/a"] {
        _ = try ChannelTarget(parsing: text)
      }
    }
  }

  @Test func `interceptors and reflection`() async throws {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    var router = Router()
    router.register(Greeter())
    router.register(ChannelzService())
    router.register(ReflectionService(services: router.serviceNames))
    router.intercept(
      CallAuthorization(openServices: ["grpc.health.v1.Health"]) { context in
        guard let token = context.bearerToken else { return .unauthenticated }
        return CallAuthorization.isSame(token, "secret") ? .allow : .deny
      }
    )
    router.intercept(TracePropagation())
    var serverConfiguration = ServerConfiguration()
    CallLog(logger).install(in: &router, &serverConfiguration)
    var channelConfiguration = ChannelConfiguration()
    channelConfiguration.interceptors = [
      CallLog(logger), TracePropagation(), BearerCredentials { _ in "secret" },
    ]
    try await withGreeter(router, channel: channelConfiguration) { greeter in
      let reply = try await greeter.greet(greeting("Ada"))
      #expect(reply.text == "Hello, Ada!")
    }
  }

  @Test func `TLS from files that are not there is refused with their names`() throws {
    let folder = FileManager.default.temporaryDirectory.path
    let error = #expect(throws: RPCError.self) {
      try TLSReloader(
        server: TLSFiles(
          certificateChain: "\(folder)/absent/server.pem",
          privateKey: "\(folder)/absent/server.key",
          clientRoots: "\(folder)/absent/ca.pem",
          clientCertificates: .required
        ),
        interval: nil
      )
    }
    #expect(error?.message.contains("/absent/") == true)
  }

  @Test func `tests of a handler`() async throws {
    let context = ServerContext(method: GuideV1.GreeterMethods.greet)
    let reply = try await Greeter().greet(greeting("Ada"), context: context)
    #expect(reply.text == "Hello, Ada!")
    #expect(context.trailingMetadata.first("greetings") == "1")
    let all = try await Greeter().greetAll(RequestStream([greeting("A")]), context: context)
    #expect(all.text == "A")
    try await Greeter().spell(
      greeting("A"),
      context: context,
      responses: ResponseWriter { message in #expect(message.text == "A") }
    )
  }
}
