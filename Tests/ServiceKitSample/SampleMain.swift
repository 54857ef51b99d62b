import Logging
import NIOCore
import NIOPosix
import RPC
import ServiceAPI
import ServiceKit
import ServiceLifecycle

/// A service for the tests of lifecycles; its options make it fail in all the ways services do.
@main
enum SampleMain {
  static let delay = ServiceOption(
    "build.delay",
    default: Duration.zero,
    in: .zero ... .seconds(60),
    help: "Time to build."
  )
  static let stubborn = ServiceOption(
    "build.stubborn",
    default: false,
    help: "Builds on when it is cancelled."
  )
  static let failure = ServiceOption("build.failure", default: "", help: "Error of building.")
  static let folder = ServiceOption("folder", default: "", help: "A folder that must be empty.")
  static let hang = ServiceOption("hang", default: false, help: "Never ends its hook.")
  static let dies = ServiceOption("dies", default: false, help: "Its background part ends.")
  static let http = ServiceOption(
    "http.port",
    default: Int?.none,
    help: "Port of a further listener."
  )

  static func main() async {
    await ServiceProcess(
      name: "llmos-sample",
      summary: "does nothing",
      rpcPort: 7199,
      adminPort: 8199,
      options: [delay, stubborn, failure, folder, hang, dies, http],
      build: build
    ).runAndExit()
  }

  private static func build(_ context: ServiceContext) async throws -> ServiceParts {
    let configuration = context.configuration
    do {
      try await Task.sleep(for: configuration[delay])
    } catch  where configuration[stubborn] {
      context.logger.info("built all the same")
    }
    if !configuration[failure].isEmpty {
      throw ServiceKitError(.startFailed, configuration[failure])
    }
    if !configuration[folder].isEmpty { throw configuration.error(folder, "is not a folder") }
    let listeners = configuration[http].map { [SecondListener(number: $0, context: context)] }
    return ServiceParts(
      rpc: [SlowService(health: context.health, logger: context.logger)],
      listeners: listeners ?? [],
      background: [Background(dies: configuration[dies], logger: context.logger)],
      shutdownHooks: [
        {
          context.logger.info("hook")
          while configuration[hang] { try? await Task.sleep(for: .seconds(1)) }
        }
      ]
    )
  }
}

/// A background part, which may end although nobody asked.
struct Background: Service {
  let dies: Bool
  let logger: Logger

  func run() async throws {
    guard !dies else { return }
    try await gracefulShutdown()
    logger.info("background ends")
  }
}

/// Methods that take long.
struct SlowService: RPCService {
  static let serviceName = "test.Slow"
  let health: HealthRegistry
  let logger: Logger

  func register(in router: inout Router) {
    let health = health
    let logger = logger
    typealias Empty = HealthV1.HealthCheckRequest
    func method(_ name: String) -> MethodDescriptor {
      MethodDescriptor(service: Self.serviceName, method: name, kind: .unary)
    }
    // Ends its work once the process drains.
    router.unary(method("UntilDrain")) { (request: Empty, _: ServerContext) -> Empty in
      guard let changes = health.watch("") else { throw RPCError(.internal, "no watch") }
      logger.info("working")
      for await _ in changes {}
      try Task.checkCancellation()
      return request
    }
    // Works until it is cancelled.
    router.unary(method("ForEver")) { (request: Empty, _: ServerContext) -> Empty in
      logger.info("working")
      while true { try await Task.sleep(for: .seconds(3600)) }
    }
  }
}

/// A listener beside the RPC server.
struct SecondListener: Listener {
  let name = "http"
  let port = OneShot<Int>()
  let number: Int
  let context: ServiceContext

  func run() async throws {
    let channel: any Channel
    do {
      channel = try await ServerBootstrap(group: context.eventLoopGroup)
        .bind(host: "127.0.0.1", port: number).get()
    } catch {
      throw ServiceKitError(.listenFailed, "cannot listen on \(number)", cause: error)
    }
    port.succeed(channel.localAddress?.port ?? 0)
    try? await gracefulShutdown()
    context.logger.info("http ends")
    try await channel.close()
  }
}
