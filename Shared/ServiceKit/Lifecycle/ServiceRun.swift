import Foundation
import Logging
import RPC
import ServiceAPI
import ServiceLifecycle
import Synchronization

/// One run of a service, after its configuration is known.
struct ServiceRun: Sendable {
  private enum Event: Sendable {
    case built(ServiceParts)
    case listening([String: Int])
    case shutdown(String)
    case ended
  }

  private let context: ServiceContext
  private let build: ServiceProcess.Build
  private let triggers = ShutdownTriggers()
  private let portsFile = PortsFileHolder()
  private let start = ContinuousClock.now

  init(context: ServiceContext, build: @escaping ServiceProcess.Build) {
    self.context = context
    self.build = build
  }

  private var configuration: Configuration { context.configuration }

  /// Starts the service and runs it until it has shut down.
  func untilShutdown() async throws {
    if configuration[StandardOptions.supervised] { triggers.watchStandardInput() }
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        await triggers.watchSignals { portsFile.remove() }
      }
      defer { group.cancelAll() }
      // From here on no signal ends the process without cleaning up.
      try await triggers.signalsAreWatched.value()
      context.logger.debug("starting")
      let admin = AdminServer(
        metrics: context.metrics,
        health: context.health,
        group: context.eventLoopGroup
      )
      let port = try await startAdmin(admin)
      do {
        if let parts = try await built() { try await serve(parts, adminPort: port) }
      } catch {
        await admin.stop()
        portsFile.remove()
        throw error
      }
      await admin.stop()
      portsFile.remove()
      triggers.stopWatchdog()
      context.logger.info("ended")
    }
  }

  private func startAdmin(_ admin: AdminServer) async throws -> Int {
    let host = configuration[StandardOptions.adminHost]
    do {
      return try await admin.start(host: host, port: configuration[StandardOptions.adminPort])
    } catch {
      throw configuration.listenError(StandardOptions.adminPort, host: host, cause: error)
    }
  }

  /// The built parts, or nil if a shutdown came first.
  private func built() async throws -> ServiceParts? {
    try await withThrowingTaskGroup(of: Event.self) { group in
      group.addTask { .built(try await build(context)) }
      group.addTask { .shutdown(try await triggers.reason.value()) }
      defer { group.cancelAll() }
      switch try await group.next() {
      case .built(let parts): return parts
      case .shutdown(let reason):
        beginShutdown(reason)
        group.cancelAll()
        // A build that ends all the same leaves parts to be cleaned up.
        if case .built(let parts)? = try? await group.next() { await runHooks(parts) }
        return nil
      case .listening, .ended, nil: return nil
      }
    }
  }

  private func serve(_ parts: ServiceParts, adminPort: Int) async throws {
    let listeners = [makeRPCListener(parts.rpc) as any Listener] + parts.listeners
    let services = parts.background + [FrontEnd(listeners: listeners)]
    var groupConfiguration = ServiceGroupConfiguration(
      services: services.map { .init(service: $0) },
      logger: quietLogger
    )
    // RPCServer and others end by themselves within the grace; what does not is cancelled.
    groupConfiguration.maximumGracefulShutdownDuration =
      configuration[StandardOptions.shutdownGrace] + .seconds(1)
    let serviceGroup = ServiceGroup(configuration: groupConfiguration)

    var isShuttingDown = false
    do {
      try await withThrowingTaskGroup(of: Event.self) { group in
        group.addTask {
          try await serviceGroup.run()
          return .ended
        }
        group.addTask { .shutdown(try await triggers.reason.value()) }
        group.addTask {
          var ports = ["admin": adminPort]
          for listener in listeners { ports[listener.name] = try await listener.port.value() }
          return .listening(ports)
        }
        defer { group.cancelAll() }
        while let event = try await group.next() {
          switch event {
          case .listening(let ports): if !isShuttingDown { try markReady(ports) }
          case .shutdown(let reason):
            isShuttingDown = true
            beginShutdown(reason)
            // Until those who send requests have read of it, they are answered.
            try? await Task.sleep(for: configuration[StandardOptions.shutdownDelay])
            await serviceGroup.triggerGracefulShutdown()
          case .ended, .built: return
          }
        }
      }
    } catch {
      // What had to be cancelled when the grace was over is no failure of the service.
      guard isShuttingDown else {
        context.health.markDraining()
        await runHooks(parts)
        throw error
      }
      context.logger.warning(
        "not everything ended within the grace",
        metadata: ["error": "\(error)"]
      )
    }
    await runHooks(parts)
  }

  private func runHooks(_ parts: ServiceParts) async {
    for hook in parts.shutdownHooks { await hook() }
  }

  private func makeRPCListener(_ services: [any RPCService]) -> RPCListener {
    let observer = CallObserver(
      logger: context.logger,
      logsAccess: configuration[StandardOptions.logAccess],
      metrics: context.metrics
    )
    var router = Router()
    for service in services { router.register(service) }
    router.register(HealthService(registry: context.health))
    if configuration[StandardOptions.rpcChannelz] { router.register(ChannelzService()) }
    if configuration[StandardOptions.rpcReflection] {
      router.register(ReflectionService(services: router.serviceNames))
    }
    context.health.add(services: router.serviceNames)

    var server = ServerConfiguration(
      host: configuration[StandardOptions.rpcHost],
      port: configuration[StandardOptions.rpcPort]
    )
    server.maxMessageBytes = configuration[StandardOptions.rpcMessageLimit].bytes
    server.maxConnections = configuration[StandardOptions.rpcConnections]
    server.maxConnectionsPerAddress = configuration[StandardOptions.rpcConnectionsPerAddress]
    server.maxConnectionAge = configuration[StandardOptions.rpcConnectionAge]
    server.callLimits.concurrentCalls = configuration[StandardOptions.rpcCalls]
    // The gateway asks its replicas every few seconds whether they hang.
    server.minPingInterval = .seconds(1)
    server.logger = context.logger
    observer.install(in: &router, &server)
    return RPCListener(
      server: RPCServer(
        router: router,
        configuration: server,
        group: context.eventLoopGroup
      ),
      configuration: configuration
    )
  }

  private func markReady(_ ports: [String: Int]) throws {
    if let path = configuration[StandardOptions.portsFile] {
      do {
        try portsFile.write(
          PortsFile(path: path, ports: ports, pid: ProcessInfo.processInfo.processIdentifier)
        )
      } catch {
        throw configuration.error(StandardOptions.portsFile, "cannot be written")
      }
    }
    context.health.markReady()
    var metadata: Logger.Metadata = [:]
    for (name, port) in ports { metadata["\(name)_port"] = "\(port)" }
    metadata["start_ms"] = "\(Int(start.duration(to: .now).inSeconds * 1000))"
    context.logger.info("ready", metadata: metadata)
  }

  private func beginShutdown(_ reason: String) {
    let logger = context.logger
    logger.info("shutting down", metadata: ["reason": "\(reason)"])
    context.health.markDraining()
    let portsFile = portsFile
    triggers.startWatchdog(
      limit: configuration[StandardOptions.shutdownDelay]
        + configuration[StandardOptions.shutdownGrace] + ServiceProcess.shutdownMargin
    ) {
      logger.critical("the shutdown hangs; ending the process")
      portsFile.remove()
    }
  }

  /// The service group's own narration is of interest only when something goes wrong.
  private var quietLogger: Logger {
    var logger = context.logger
    logger.logLevel = max(.error, logger.logLevel)
    return logger
  }
}

/// The ports file once it is written; removed from whichever place ends the process.
final class PortsFileHolder: Sendable {
  private let file = Mutex<PortsFile?>(nil)

  func write(_ file: PortsFile) throws {
    try self.file.withLock {
      try file.write()
      $0 = file
    }
  }

  func remove() {
    file.withLock {
      $0?.remove()
      $0 = nil
    }
  }
}
