import ArgumentParser
import AsyncHTTPClient
import Supervision

/// `llmos status`: how the services are.
struct Status: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows the services of the suite on this machine; fails unless all are ready."
  )

  @OptionGroup var suite: SuiteOptions

  func run() async throws {
    let description = try suite.running()
    let probe = ReadinessProbe(client: .shared)
    var rows = [["SERVICE", "STATE", "PID", "RPC", "ADMIN", "HTTP"]]
    var allReady = true
    for service in Service.allCases {
      let report = PortsReport.read(suite.layout.portsFile(service))
      let ports = report?.ports ?? description.ports[service.rawValue]
      var state = "down"
      if report != nil, let admin = ports?.admin {
        state = await probe.isReady(adminPort: admin) ? "ready" : "not ready"
      }
      allReady = allReady && state == "ready"
      rows.append([
        service.executable, state, report.map { String($0.pid) } ?? "-", text(ports?.rpc),
        text(ports?.admin), text(ports?.http),
      ])
    }
    Output.table(rows)
    Output.line("\(description.gateway), supervised by process \(description.pid)")
    guard allReady else { throw ExitCode(1) }
  }

  private func text(_ port: Int?) -> String { port.map(String.init) ?? "-" }
}
