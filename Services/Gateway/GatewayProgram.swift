import ModelAccess
import NIOCore
import ServiceKit
import ServiceLifecycle

/// `llmos-gateway`: the suite's public API over HTTP.
package enum GatewayProgram {
  /// Runs the gateway with the process's arguments and environment, and ends the process.
  package static func runAndExit() async -> Never {
    await ServiceProcess(
      name: "llmos-gateway",
      summary: "The suite's public API over HTTP: chat, entities, text labels, files, fine-tuning.",
      rpcPort: 7100,
      adminPort: 8100,
      options: GatewayOptions.all,
      build: build
    ).runAndExit()
  }

  static func build(_ context: ServiceContext) async throws -> ServiceParts {
    let server = PublicServer(
      settings: GatewaySettings(context.configuration),
      metrics: context.metrics,
      health: context.health,
      group: context.eventLoopGroup,
      logger: context.logger
    )
    server.probe.begin()
    return ServiceParts(
      rpc: [],
      listeners: [PublicListener(server: server, configuration: context.configuration)],
      background: [
        ProbeService(probe: server.probe), ReplicaService(replicas: server.backends.inference),
        AliasWatch(registry: server.backends.registry) { await server.catalog.follow($0) },
      ],
      shutdownHooks: [
        { server.catalog.close() },
        { await server.backends.close() },
      ]
    )
  }
}

/// The public HTTP server as a part of the service.
private struct PublicListener: Listener {
  let name = "http"
  let port = OneShot<Int>()
  let server: PublicServer
  let configuration: Configuration

  func run() async throws {
    let port = port
    do {
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await server.application { port.succeed($0) }.run() }
        group.addTask {
          try await gracefulShutdown()
          try await Task.sleep(for: configuration[StandardOptions.shutdownGrace])
          server.endRequests()
        }
        defer { group.cancelAll() }
        try await group.next()
      }
    } catch let error as IOError {
      throw configuration.listenError(
        GatewayOptions.httpPort,
        host: configuration[GatewayOptions.httpHost],
        cause: error
      )
    }
  }
}

/// Asks the services until the shutdown; running requests need no answer by then.
private struct ProbeService: Service {
  let probe: BackendProbe

  func run() async throws {
    await cancelWhenGracefulShutdown { await probe.run() }
  }
}

/// Follows the replicas until the shutdown; it ends after the requests.
private struct ReplicaService: Service {
  let replicas: InferenceReplicas

  func run() async throws {
    await cancelWhenGracefulShutdown { await replicas.run() }
  }
}
