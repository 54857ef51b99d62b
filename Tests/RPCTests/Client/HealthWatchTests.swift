import Logging
import NIOCore
import Synchronization
import Testing

@testable import RPC

/// How channels keep from servers that say they do not serve.
@Suite(.timeLimit(.minutes(5))) struct HealthWatchTests {
  /// A server that answers with its name and tells its health.
  private final class Server: Sendable {
    let rpc: RPCServer
    private let health: AsyncStream<Bool>.Continuation

    init(_ name: String, serves: Bool?) {
      let (states, health) = AsyncStream.makeStream(of: Bool.self)
      self.health = health
      var service = EchoService()
      service.unary = { _, _ in Bytes(name) }
      var router = Router()
      router.register(service)
      if let serves {
        health.yield(serves)
        router.serverStreaming(
          MethodDescriptor(
            service: "grpc.health.v1.Health",
            method: "Watch",
            kind: .serverStreaming
          )
        ) { (request: Bytes, _, responses: ResponseWriter<Bytes>) in
          guard request.bytes == [0x0a, 1, 0x65] else { throw RPCError(.notFound, "which") }
          for await serves in states { try await responses.write(Bytes([0x08, serves ? 1 : 2])) }
        }
      }
      var configuration = ServerConfiguration()
      configuration.logger.logLevel = .error
      rpc = RPCServer(router: router, configuration: configuration, group: testGroup)
    }

    func say(_ serves: Bool) { health.yield(serves) }
  }

  private func with(
    _ servers: [Server],
    _ body: (RPCChannel) async throws -> Void
  ) async throws {
    var ports: [Int] = []
    for server in servers { ports.append(try #require(try await server.rpc.start().port)) }
    var configuration = ChannelConfiguration()
    configuration.serviceConfig.loadBalancing = .roundRobin
    configuration.serviceConfig.healthCheckService = "e"
    let channel = try RPCChannel(
      target: "ipv4:" + ports.map { "127.0.0.1:\($0)" }.joined(separator: ","),
      configuration: configuration,
      group: testGroup
    )
    do {
      try await body(channel)
    } catch {
      await channel.close()
      for server in servers { await server.rpc.shutdown(grace: .zero) }
      throw error
    }
    await channel.close()
    for server in servers { await server.rpc.shutdown(grace: .zero) }
  }

  private func call(_ channel: RPCChannel, waits: Bool = true) async throws -> String {
    let response: Bytes = try await channel.unary(
      EchoMethods.unary,
      Bytes("x"),
      options: CallOptions(timeout: .seconds(30), waitForReady: waits)
    )
    return response.text
  }

  /// Calls until ten answers in a row are from these servers and all of them.
  private func settle(_ channel: RPCChannel, on names: Set<String>) async throws {
    var recent: [String] = []
    while recent.count < 10 || Set(recent.suffix(10)) != names {
      recent.append(try await call(channel))
    }
  }

  @Test func `calls go to servers that serve, as they come and go`() async throws {
    let servers = [Server("0", serves: false), Server("1", serves: true)]
    try await with(servers) { channel in
      for _ in 0..<10 {
        let answer = try await call(channel)
        #expect(answer == "1")
      }
      servers[0].say(true)
      try await settle(channel, on: ["0", "1"])
      servers[1].say(false)
      try await settle(channel, on: ["0"])
    }
  }

  @Test func `without a server that serves, calls fail or wait`() async throws {
    let server = Server("0", serves: false)
    try await with([server]) { channel in
      let error = try await failure { try await call(channel, waits: false) }
      #expect(error.code == .unavailable)
      #expect(error.message.contains("does not serve"))
      let waiting = Task { try await call(channel) }
      server.say(true)
      let answer = try await waiting.value
      #expect(answer == "0")
    }
  }

  @Test func `a watch that ends after an answer is begun anew, and the answer counts meanwhile`()
    async throws
  {
    let rounds = Counter()
    var service = EchoService()
    service.unary = { _, _ in "ok" }
    var router = Router()
    router.register(service)
    router.serverStreaming(
      MethodDescriptor(service: "grpc.health.v1.Health", method: "Watch", kind: .serverStreaming)
    ) { (_: Bytes, _, responses: ResponseWriter<Bytes>) in
      guard rounds.increment() == 1 else { return await waitForCancellation(Signal()) }
      try await responses.write(Bytes([0x08, 1]))
    }
    let server = RPCServer(
      router: router,
      configuration: ServerConfiguration(port: 0),
      group: testGroup
    )
    let port = try #require(try await server.start().port)
    var configuration = ChannelConfiguration()
    configuration.serviceConfig.loadBalancing = .roundRobin
    configuration.serviceConfig.healthCheckService = "e"
    let channel = RPCChannel(
      host: "127.0.0.1",
      port: port,
      configuration: configuration,
      group: testGroup
    )
    let first = try await call(channel)
    #expect(first == "ok")
    _ = await rounds.wait(above: 1)
    let answer = try? await call(channel, waits: false)
    #expect(answer == "ok")
    await channel.close()
    await server.shutdown(grace: .zero)
  }

  @Test func `a server without the health service serves`() async throws {
    try await with([Server("0", serves: nil)]) { channel in
      let answer = try await call(channel)
      #expect(answer == "0")
    }
  }

  @Test(
    arguments: [
      ([], false), ([0x08, 1], true), ([0x08, 2], false), ([0x08, 1, 0x08, 0], false),
      ([0x12, 2, 1, 1, 0x08, 1], true), ([0x1d, 1, 2, 3, 4, 0x21, 1, 2, 3, 4, 5, 6, 7, 8], false),
    ] as [([UInt8], Bool)]
  )
  func `the answer's status counts, other fields are passed over`(
    bytes: [UInt8],
    serves: Bool
  ) throws {
    #expect(try HealthReply(response: bytes[...]).isServing == serves)
  }

  @Test(arguments: [[0x08], [0x12, 5, 1], [0x1d, 1], [0x0b], [UInt8](repeating: 0xff, count: 12)])
  func `an answer that is malformed is refused`(bytes: [UInt8]) {
    #expect(throws: RPCError.self) { try HealthReply(response: bytes[...]) }
  }
}
