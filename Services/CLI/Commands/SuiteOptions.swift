import ArgumentParser
import Supervision
import SystemPackage

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Which suite on this machine a command is about.
struct SuiteOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The suite's home folder (default: $LLMOS_HOME, else ~/.llmos).",
      valueName: "folder"
    )
  )
  var home: String?

  var layout: SuiteLayout {
    let environment = ProcessInfo.processInfo.environment
    let path = home.map { FilePath($0) } ?? SuiteLayout.defaultHome(environment: environment)
    guard !path.isAbsolute else { return SuiteLayout(home: path) }
    let current = FilePath(FileManager.default.currentDirectoryPath)
    return SuiteLayout(home: current.appending(path.components).lexicallyNormalized())
  }

  /// The suite that runs, or an error that says how to start one.
  func running() throws -> SuiteDescription {
    let layout = layout
    guard let suite = SuiteDescription.running(on: layout) else {
      throw SupervisionError(
        .notRunning,
        "no suite runs on \(layout.home); start one with: llmos up"
      )
    }
    return suite
  }
}

/// Where the public API of a suite is.
struct GatewayOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The gateway's address (default: the running suite's, else http://127.0.0.1:8080).",
      valueName: "url"
    )
  )
  var url: String?

  @OptionGroup var suite: SuiteOptions

  var gateway: String {
    var address =
      url ?? SuiteDescription.running(on: suite.layout)?.gateway ?? "http://127.0.0.1:8080"
    while address.hasSuffix("/") { address.removeLast() }
    return address
  }
}
