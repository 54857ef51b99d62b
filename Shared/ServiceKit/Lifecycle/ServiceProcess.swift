import Foundation
import Logging
import NIOCore
import NIOPosix

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// The process of one service, from its command line to its exit code.
///
/// A new service is a closure that builds its parts from a configuration; all else is here:
/// ```swift
/// @main
/// enum TokenizerMain {
///   static func main() async {
///     await ServiceProcess(
///       name: "llmos-tokenizer", summary: "encodes and decodes text", rpcPort: 7101,
///       adminPort: 8101, options: TokenizerOptions.all
///     ) { context in
///       let models = try Models(folder: context.configuration[TokenizerOptions.models])
///       return ServiceParts(rpc: [TokenizerHandlers(models)])
///     }.runAndExit()
///   }
/// }
/// ```
/// The process (1) loads its configuration, (2) opens the admin endpoint, not ready, (3) builds the
/// service, (4) opens the RPC server and other listeners, (5) writes the ports file and is ready.
/// SIGTERM, SIGINT or, if `supervised`, the end of standard input make it not ready, after
/// `shutdown.delay` drain its listeners within `shutdown.grace`, and end with code 0. A second signal ends it at once.
///
/// Exit codes: 0 after an orderly shutdown, 1 if it could not start or failed, 2 for a wrong
/// configuration. Either failure is told in one line on standard error. With `--healthcheck` the
/// process asks another one, which runs with the same options, and 1 says that it is not ready.
package struct ServiceProcess: Sendable {
  /// The suite's version.
  package static let suiteVersion = "0.1.0"
  /// How much longer than `shutdown.delay` and `shutdown.grace` a shutdown may take before the process ends itself.
  package static let shutdownMargin = Duration.seconds(5)

  /// Builds the service; it is cancelled if the process is told to shut down meanwhile.
  ///
  /// Throw ``Configuration/error(_:_:)`` for a wrong option.
  package typealias Build = @Sendable (ServiceContext) async throws -> ServiceParts

  let schema: ConfigurationSchema
  let build: Build

  /// Describes a service.
  ///
  /// - Parameters:
  ///   - name: The program's name.
  ///   - version: What `--version` prints.
  ///   - summary: What the service does, in a few words.
  ///   - rpcPort: The default of `rpc.port`.
  ///   - adminPort: The default of `admin.port`.
  ///   - options: The service's own options, beside ``StandardOptions``.
  ///   - build: Builds the service's parts.
  package init(
    name: String,
    version: String = suiteVersion,
    summary: String,
    rpcPort: Int,
    adminPort: Int,
    options: [any DeclaredOption] = [],
    build: @escaping Build
  ) {
    schema = ConfigurationSchema(
      program: name,
      version: version,
      summary: summary,
      options: options + StandardOptions.all(rpcPort: rpcPort, adminPort: adminPort)
    )
    self.build = build
  }

  /// Runs the service with the process's arguments and environment, and ends the process.
  package func runAndExit() async -> Never {
    exit(await run())
  }

  /// Runs the service; returns the exit code.
  package func run(
    arguments: [String] = Array(CommandLine.arguments.dropFirst()),
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) async -> Int32 {
    // A peer that is gone must be an error of the write, not the end of the process.
    signal(SIGPIPE, SIG_IGN)
    FileLimit.raise()
    do {
      switch try schema.load(arguments: arguments, environment: environment) {
      case .print(let text):
        FileHandle.standardOutput.write(Data(text.utf8))
      case .healthcheck(let configuration):
        let group = MultiThreadedEventLoopGroup.singleton
        let text = try await ReadinessQuery(configuration).ask(on: group)
        FileHandle.standardOutput.write(Data(text.utf8))
      case .run(let configuration):
        try await run(configuration)
      }
      return 0
    } catch {
      let text: String
      if let error = error as? ServiceKitError {
        text = error.description
      } else {
        text = String(describing: error)
      }
      StandardErrorSink.shared.write(
        Array("\(schema.program): \(text.escapedForOneLine(limit: 2000))\n".utf8)
      )
      return (error as? ServiceKitError)?.code == .invalidConfiguration ? 2 : 1
    }
  }

  private func run(_ configuration: Configuration) async throws {
    ServiceLogging.install(
      service: schema.program,
      format: configuration[StandardOptions.logFormat],
      level: configuration[StandardOptions.logLevel]
    )
    let group = MultiThreadedEventLoopGroup(
      numberOfThreads: configuration[StandardOptions.rpcThreads]
    )
    let context = ServiceContext(
      name: schema.program,
      configuration: configuration,
      metrics: MetricsRegistry(),
      health: HealthRegistry(),
      eventLoopGroup: group,
      logger: Logger(label: schema.program)
    )
    ProcessMetrics.register(in: context.metrics)
    let health = context.health
    context.metrics.gauge(
      "llmos_ready",
      help: "Whether the service takes requests, as /readyz and grpc.health.v1 say: 1 or 0."
    ) { health.status(of: "") == .serving ? 1 : 0 }
    context.metrics.gauge(
      "llmos_build_info",
      help: "The program and its version.",
      labels: ["program", "version"]
    )[
      schema.program,
      schema.version
    ].set(1)
    let run = ServiceRun(context: context, build: build)
    do {
      try await run.untilShutdown()
    } catch {
      try? await group.shutdownGracefully()
      throw error
    }
    try? await group.shutdownGracefully()
  }
}
