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
      "Logs go to <home>/logs, one file per service. A service that dies is started again."
  )

  @OptionGroup var suite: SuiteOptions

  @Option(help: ArgumentHelp("Import every model folder in this folder.", valueName: "folder"))
  var models: String?

  @Option(help: "The port of the public API; the other services use 7101 to 7104 and 8100 to 8104.")
  var httpPort: Int?

  @Option(help: "Training jobs that run at once (default 1); further ones wait.")
  var jobsMax: Int?

  @Option(
    help: ArgumentHelp(
      "Memory of all training jobs together, such as 8GiB (default: three quarters of all).",
      valueName: "bytes"
    )
  )
  var trainingMemory: String?

  @Flag(help: "Let the system choose every port; llmos status tells them.")
  var anyPorts = false

  @Flag(help: "Return when the suite is ready and leave it running.")
  var detach = false

  @Flag(help: .hidden)
  var ownSession = false

  func run() async throws {
    // Closing the terminal must not end a suite that was detached from it.
    if ownSession { setsid() }
    if detach {
      try await DetachedSuite(layout: suite.layout).start(
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
    let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await supervisor.run() }
      group.addTask {
        for await _ in signals { return }
      }
      // Whichever ends first ends the other: a signal, or a failed start.
      try await group.next()
      group.cancelAll()
      try await group.waitForAll()
    }
    Output.line("llmos has stopped")
  }

  private func modelsFolder() throws -> FilePath? {
    guard let models else { return nil }
    var isFolder = false
    guard FileManager.default.fileExists(atPath: models, isDirectory: &isFolder), isFolder else {
      throw ValidationError("--models \(models) is not a folder")
    }
    return FilePath(URL(filePath: models).standardizedFileURL.path)
  }

  private static func tell(_ event: SupervisionEvent) {
    switch event {
    case .ready(let suite, let time):
      Output.line("llmos is ready at \(suite.gateway) (after \(time.formattedSeconds))")
    case .restarting(let service, let ended, let delay):
      Output.line(
        "\(service.executable) ended (\(ended)); it starts again in \(delay.formattedSeconds)"
      )
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
