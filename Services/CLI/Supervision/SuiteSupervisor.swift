import Subprocess
package import SystemPackage

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// What a supervisor tells its user.
package enum SupervisionEvent: Sendable {
  /// Every service is ready.
  case ready(SuiteDescription, after: Duration)
  /// A service ended and is started again after `delay`.
  case restarting(Service, ended: String, delay: Duration)
}

/// Starts the services of a suite in order, restarts those that end, and stops them in reverse order.
package actor SuiteSupervisor {
  /// How long a service may take from its first start until it is ready.
  package static let readyTimeout: Duration = .seconds(120)
  /// How often a starting service is asked whether it is ready.
  static let readyPollInterval: Duration = .milliseconds(10)

  /// What a suite is started with.
  package struct Options: Sendable {
    /// Where the suite keeps its files.
    package var layout: SuiteLayout
    /// The folder of the services' executables.
    package var executables: FilePath
    /// A folder of model folders to import at start.
    package var demoModels: FilePath?
    /// The ports each service asks for.
    package var ports: [Service: ServicePorts]
    /// Further arguments of some services.
    package var arguments: [Service: [String]] = [:]

    /// Options with the default ports.
    package init(layout: SuiteLayout, executables: FilePath, demoModels: FilePath?) {
      self.layout = layout
      self.executables = executables
      self.demoModels = demoModels
      ports = Dictionary(uniqueKeysWithValues: Service.allCases.map { ($0, $0.defaultPorts) })
    }
  }

  private let options: Options
  private let probe: ReadinessProbe
  private let report: @Sendable (SupervisionEvent) -> Void
  /// The ports each service got; a restart asks for the same again.
  private var ports: [Service: ServicePorts] = [:]
  /// Why a service's first run ended before it was ready.
  private var startFailures: [Service: String] = [:]
  private var loops: [(service: Service, task: Task<Void, Never>)] = []

  /// A supervisor that has started nothing; `report` is called in order, from the actor.
  package init(
    options: Options,
    probe: ReadinessProbe,
    report: @escaping @Sendable (SupervisionEvent) -> Void
  ) {
    self.options = options
    self.probe = probe
    self.report = report
  }

  /// Runs the suite until the task is cancelled, then stops it.
  ///
  /// Throws `alreadyRunning`, or `startFailed` when a service does not get ready at its first start; no process
  /// is left in either case.
  package func run() async throws {
    try options.layout.create()
    let lock = try SuiteLock(options.layout.lock)
    defer { lock.release() }
    removeDescription()
    do {
      try await start()
      await untilCancelled()
    } catch {
      await stop()
      if Task.isCancelled, error is CancellationError { return }
      throw error
    }
    await stop()
  }

  private func start() async throws {
    let began = ContinuousClock.now
    for wave in Self.waves {
      for service in wave { launch(service) }
      for service in wave { try await awaitReady(service) }
    }
    let description = SuiteDescription(pid: ProcessInfo.processInfo.processIdentifier, ports: ports)
    try description.write(to: options.layout.description)
    report(.ready(description, after: ContinuousClock.now - began))
  }

  /// Services that can start together: all that they need is in an earlier wave.
  private static let waves: [[Service]] = [
    [.data], [.tokenizer, .inference, .training], [.gateway],
  ]

  private func stop() async {
    // The description goes first: from now on nobody should find this suite.
    removeDescription()
    for (_, task) in loops.reversed() {
      task.cancel()
      await task.value
    }
    loops = []
  }

  private func removeDescription() {
    try? FileManager.default.removeItem(atPath: options.layout.description.string)
  }

  private func launch(_ service: Service) {
    let task = Task { await self.keepRunning(service) }
    loops.append((service, task))
  }

  /// Runs a service again and again until the task is cancelled, or until its first start has failed.
  private func keepRunning(_ service: Service) async {
    var policy = RestartPolicy()
    while !Task.isCancelled {
      let portsFile = options.layout.portsFile(service)
      try? FileManager.default.removeItem(atPath: portsFile.string)
      let began = ContinuousClock.now
      let ended = await Self.runOnce(process(service))
      if Task.isCancelled { return }
      guard ports[service] != nil else {
        startFailures[service] = ended
        return
      }
      let delay = policy.delay(afterUptime: ContinuousClock.now - began)
      report(.restarting(service, ended: ended, delay: delay))
      try? await Task.sleep(for: delay)
    }
  }

  private static func runOnce(_ process: ServiceProcess) async -> String {
    do {
      return "\(try await process.run())"
    } catch {
      return "cannot run \(process.executable): \(error)"
    }
  }

  private func process(_ service: Service) -> ServiceProcess {
    let layout = options.layout
    let asked = ports[service] ?? options.ports[service] ?? service.defaultPorts
    var arguments = asked.arguments
    arguments += ["--ports.file", layout.portsFile(service).string, "--supervised"]
    for (peer, option) in service.peers {
      arguments += [option, "127.0.0.1:\(ports[peer]?.rpc ?? 0)"].enumerated().map {
        $0.offset == 0 ? "--\($0.element)" : $0.element
      }
    }
    if service == .data {
      arguments += ["--data.dir", layout.data.string]
      if let models = options.demoModels { arguments += ["--demo.models", models.string] }
    }
    if service == .training { arguments += ["--training.dir", layout.training.string] }
    arguments += options.arguments[service] ?? []
    return ServiceProcess(
      executable: options.executables.appending(service.executable),
      arguments: arguments,
      log: layout.logFile(service)
    )
  }

  private func awaitReady(_ service: Service) async throws {
    let deadline = ContinuousClock.now + Self.readyTimeout
    while ContinuousClock.now < deadline {
      if let ended = startFailures[service] {
        throw SupervisionError(.startFailed, startFailure(service, ended: ended))
      }
      if let found = PortsReport.read(options.layout.portsFile(service)), let admin = found.admin,
        await probe.isReady(adminPort: admin)
      {
        ports[service] = found.ports
        return
      }
      try await Task.sleep(for: Self.readyPollInterval)
    }
    throw SupervisionError(
      .startFailed,
      "\(service.executable) was not ready after \(Self.readyTimeout); its log is "
        + "\(options.layout.logFile(service))"
    )
  }

  private func startFailure(_ service: Service, ended: String) -> String {
    let log = options.layout.logFile(service)
    let lastLine = LogTail.lastLine(of: log).map { ": \($0)" } ?? ""
    return "\(service.executable) ended at its start (\(ended))\(lastLine)"
  }

  private func untilCancelled() async {
    let (stream, continuation) = AsyncStream.makeStream(of: Never.self)
    // The stream never yields; cancellation of the task ends it.
    for await _ in stream {}
    continuation.finish()
  }
}
