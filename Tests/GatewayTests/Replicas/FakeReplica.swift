import Foundation
import NIOCore
import NIOPosix
import RPC
import ServiceAPI
import Synchronization

@testable import Gateway
@testable import ServiceKit

/// One replica of the inference service, on a port of its own.
final class FakeReplica: Sendable {
  let suite: FakeSuite
  let health = HealthRegistry()
  let endpoint: Endpoint
  private let server: RPCServer

  /// Starts a replica; port 0 takes a free one.
  init(
    port: Int = 0,
    generate: @escaping FakeSuite.Generate = { try await FakeSuite.sayHello($0, $1, $2) }
  ) async throws {
    suite = FakeSuite(generate: generate)
    var router = RPC.Router()
    router.register(FakeInference(suite: suite))
    router.register(HealthService(registry: health))
    health.add(services: router.serviceNames)
    health.markReady()
    server = RPCServer(
      router: router,
      configuration: ServerConfiguration(port: port),
      group: MultiThreadedEventLoopGroup.singleton
    )
    endpoint = Endpoint(host: "127.0.0.1", port: try await server.start().port ?? 0)
  }

  /// Ends at once, with all calls and connections.
  func stop() async { await server.shutdown(grace: .zero) }

  /// Ends as a service does that is told to: says so, refuses calls, and finishes those that run.
  func drain() async {
    health.markDraining()
    await server.shutdown(grace: .seconds(60))
  }

  /// Generations asked for.
  var generated: Int { suite.asked.generated.count }
}

extension TestGateway {
  /// Runs `test` against a gateway in front of replicas, once they are all ready.
  static func run(
    replicas: [FakeReplica],
    adjust: @escaping (inout GatewaySettings) -> Void = { _ in },
    _ test: @escaping @Sendable (TestGateway) async throws -> Void
  ) async throws {
    do {
      try await run(adjust: { settings in
        settings.inference.sources = replicas.map { .endpoint($0.endpoint) }
        settings.readyTimeout = .seconds(60)
        adjust(&settings)
      }) { gateway in
        try await eventually { gateway.ready == replicas.count }
        try await test(gateway)
      }
    } catch {
      for replica in replicas { await replica.stop() }
      throw error
    }
    for replica in replicas { await replica.stop() }
  }

  /// Replicas that are ready.
  var ready: Int { count(.ready) }

  func count(_ state: ReplicaState) -> Int {
    server.backends.inference.replicas.replicas.count { $0.state == state }
  }

  /// The value of a metric.
  func metric(_ line: String) -> String? {
    metrics.exposition().split(separator: "\n").first { $0.hasPrefix(line) }
      .map { String($0.dropFirst(line.count + 1)) }
  }
}
