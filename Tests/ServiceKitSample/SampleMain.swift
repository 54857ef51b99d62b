import Logging
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
  static let failure = ServiceOption("build.failure", default: "", help: "Error of building.")
  static let folder = ServiceOption("folder", default: "", help: "A folder that must be empty.")
  static let hang = ServiceOption("hang", default: false, help: "Never ends its hook.")
  static let dies = ServiceOption("dies", default: false, help: "Its background part ends.")

  static func main() async {
    await ServiceProcess(
      name: "llmos-sample",
      summary: "does nothing",
      rpcPort: 7199,
      adminPort: 8199,
      options: [delay, failure, folder, hang, dies]
    ) { context in
      let configuration = context.configuration
      try await Task.sleep(for: configuration[delay])
      if !configuration[failure].isEmpty {
        throw ServiceKitError(.startFailed, configuration[failure])
      }
      if !configuration[folder].isEmpty { throw configuration.error(folder, "is not a folder") }
      return ServiceParts(
        rpc: [],
        background: configuration[dies] ? [Mayfly()] : [],
        shutdownHooks: [
          {
            context.logger.info("hook")
            while configuration[hang] { try? await Task.sleep(for: .seconds(1)) }
          }
        ]
      )
    }.runAndExit()
  }
}

/// A background part that ends although nobody asked.
struct Mayfly: Service {
  func run() async throws {}
}
