import ArgumentParser
import AsyncHTTPClient
import Supervision
import SystemPackage
import UnixSignals

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif
#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// `llmos up`: the whole suite on one machine.
struct Up: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Starts all services on this machine and keeps them running until Ctrl-C.",
    discussion:
      "Logs go to <home>/logs, one file per process. A process that dies is started again."
  )

  @OptionGroup var suite: SuiteOptions

  @Option(help: ArgumentHelp("Import every model folder in this folder.", valueName: "folder"))
  var models: String?

  @Option(
    help:
      "The port of the public API; others are 7100 to 7104 and 8100 to 8104, of further replicas any."
  )
  var httpPort: Int?

  @Option(
    help: ArgumentHelp(
      "Replicas of a service, today of inference alone: inference=3. They divide the processors, unless "
        + "LLMOS_COMPUTE_THREADS says how many threads each has.",
      valueName: "service=number"
    ),
    transform: { try ReplicaCount(parsing: $0) }
  )
  var replicas: [ReplicaCount] = []

  @Option(help: "Training jobs that run at once (default 1); further ones wait.")
  var jobsMax: Int?

  @Option(
    help: ArgumentHelp(
      "Memory of all training jobs together, such as 8GiB (default: three quarters of all).",
      valueName: "bytes"
    )
  )
  var trainingMemory: String?

  @Flag(help: "Let the system choose every port; llmos ps tells them.")
  var anyPorts = false

  @Flag(help: "Return when the suite is ready and leave it running.")
  var detach = false

  @Flag(help: .hidden)
  var ownSession = false

  func run() async throws {
    // Closing the terminal must not end a suite that was detached from it.
    if ownSession { setsid() }
    let desired = try desiredReplicas()
    if detach {
      try await DetachedSuite(layout: suite.layout).start(
        desired,
        arguments: Array(CommandLine.arguments.dropFirst())
      )
      return
    }
    var options = SuiteSupervisor.Options(
      layout: suite.layout,
      executables: Executables.folder,
      demoModels: try modelsFolder()
    )
    if anyPorts { options.ports = options.ports.mapValues(\.chosenBySystem) }
    for count in desired { options.desired.set(count) }
    if let httpPort { options.ports[.gateway]?.http = httpPort }
    if let jobsMax { options.arguments[.training, default: []] += ["--jobs.max", "\(jobsMax)"] }
    if let trainingMemory {
      options.arguments[.training, default: []] += ["--training.memory", trainingMemory]
    }
    let supervisor = SuiteSupervisor(
      options: options,
      probe: ReadinessProbe(client: .shared),
      report: Self.tell
    )
    // A closed terminal ends the suite, unless it was started to outlive it (nohup).
    let isHangUpIgnored = Self.isIgnored(SIGHUP)
    let signals = await UnixSignalsSequence(
      trapping: [.sigterm, .sigint, .sigusr1] + (isHangUpIgnored ? [] : [.sighup])
    )
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await supervisor.run() }
      group.addTask {
        for await signal in signals {
          guard signal == .sigusr1 else { return }
          await supervisor.reload()
        }
      }
      // Whichever ends first ends the other: a signal, or a failed start.
      try await group.next()
      group.cancelAll()
      try await group.waitForAll()
    }
    Output.line("llmos has stopped")
  }

  private func desiredReplicas() throws -> [ReplicaCount] {
    let services = replicas.map(\.service)
    guard let twice = services.first(where: { one in services.count { $0 == one } > 1 }) else {
      return replicas
    }
    throw ValidationError("--replicas names \(twice.rawValue) more than once")
  }

  private func modelsFolder() throws -> FilePath? {
    guard let models else { return nil }
    var isFolder = false
    guard FileManager.default.fileExists(atPath: models, isDirectory: &isFolder), isFolder else {
      throw ValidationError("--models \(models) is not a folder")
    }
    return FilePath(URL(filePath: models).standardizedFileURL.path)
  }

  private static func isIgnored(_ signal: CInt) -> Bool {
    var action = sigaction()
    guard sigaction(signal, nil, &action) == 0 else { return false }
    return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
      == unsafeBitCast(SIG_IGN, to: Int.self)
  }

  private static func tell(_ event: SupervisionEvent) {
    switch event {
    case .ready(let suite, let time):
      Output.line("llmos is ready at \(suite.gateway) (after \(time.formattedSeconds))")
    case .restarting(let instance, let ended, let delay):
      Output.line("\(instance) ended (\(ended)); it starts again in \(delay.formattedSeconds)")
    case .isReady(let process):
      Output.line("\(process.instance) is ready\(process.address.map { " at \($0)" } ?? "")")
    case .draining(let process): Output.line("\(process.instance) finishes its requests")
    case .gone(let instance): Output.line("\(instance) has ended")
    case .ignored(let error): Output.line("ignored: \(error.message)")
    }
  }
}

/// `llmos down`: the end of a suite that was detached.
struct Down: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Stops the suite that runs on this machine, letting requests finish."
  )

  @OptionGroup var suite: SuiteOptions

  func run() async throws {
    try await DetachedSuite(layout: suite.layout).stop()
    Output.line("stopped")
  }
}
