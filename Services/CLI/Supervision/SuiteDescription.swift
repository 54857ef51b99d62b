package import SystemPackage

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

/// What a running suite says of itself, in `run/suite.json`.
package struct SuiteDescription: Sendable, Codable, Equatable {
  /// The supervisor's process id.
  package let pid: Int32
  /// Where the public API listens, such as `http://127.0.0.1:8080`.
  package let gateway: String
  /// How many processes of each service are wanted.
  package let replicas: [Service: Int]
  /// The processes as they are, in the order in which they start.
  package let processes: [SuiteProcess]

  /// A description of the suite that `pid` supervises.
  package init(pid: Int32, replicas: [Service: Int], processes: [SuiteProcess]) {
    self.pid = pid
    self.replicas = replicas
    self.processes = processes.sorted { $0.instance < $1.instance }
    let http = processes.first { $0.instance.service == .gateway }?.ports?.http
    self.gateway = "http://127.0.0.1:\(http ?? 0)"
  }

  /// The process of this name, nil if there is none now.
  package subscript(instance: ServiceInstance) -> SuiteProcess? {
    processes.first { $0.instance == instance }
  }

  /// The processes of a service, by number.
  package func processes(of service: Service) -> [SuiteProcess] {
    processes.filter { $0.instance.service == service }
  }

  /// Reads the description of the suite that runs on `layout`, nil if none does.
  ///
  /// A supervisor that was killed leaves its file behind, so the lock must be held; and by the process that wrote
  /// the file, not by a new one that is only just starting.
  package static func running(on layout: SuiteLayout) -> SuiteDescription? {
    guard SuiteLock.isHeld(layout.lock),
      let data = FileManager.default.contents(atPath: layout.description.string),
      let description = try? JSONDecoder().decode(SuiteDescription.self, from: data),
      kill(description.pid, 0) == 0
    else { return nil }
    return description
  }

  /// Writes the description in one step.
  package func write(to path: FilePath) throws(SupervisionError) {
    try RunFile.write(self, to: path)
  }
}

/// What a service says of itself in its ports file.
package struct PortsReport: Sendable, Codable, Equatable {
  /// The service's process id.
  package let pid: Int32
  /// The RPC port.
  package let rpc: Int?
  /// The admin port.
  package let admin: Int?
  /// The public HTTP port.
  package let http: Int?

  /// The report in `path`, nil while there is none.
  package static func read(_ path: FilePath) -> PortsReport? {
    guard let data = FileManager.default.contents(atPath: path.string) else { return nil }
    return try? JSONDecoder().decode(PortsReport.self, from: data)
  }

  /// The ports alone.
  package var ports: ServicePorts { ServicePorts(rpc: rpc, admin: admin, http: http) }
}
