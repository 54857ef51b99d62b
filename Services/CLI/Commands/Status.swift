import ArgumentParser
import AsyncHTTPClient
import Supervision

/// `llmos status`: whether the suite serves.
struct Status: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Says whether every service is ready, and fails if one is not.",
    discussion: "llmos ps lists the processes."
  )

  @OptionGroup var suite: SuiteOptions

  func run() async throws {
    let description = try suite.running()
    let probe = ReadinessProbe(client: .shared)
    var rows = [["SERVICE", "STATE", "REPLICAS"]]
    var allReady = true
    for service in Service.allCases {
      var ready = 0
      for process in description.processes(of: service) where process.isReady {
        if let admin = process.ports?.admin, await probe.isReady(adminPort: admin) { ready += 1 }
      }
      let wanted = description.replicas[service] ?? 1
      allReady = allReady && ready >= wanted
      rows.append([
        service.executable, ready >= wanted ? "ready" : "not ready", "\(ready)/\(wanted)",
      ])
    }
    Output.table(rows)
    Output.line("\(description.gateway), supervised by process \(description.pid)")
    guard allReady else { throw ExitCode(1) }
  }
}
