import ArgumentParser
import AsyncHTTPClient
import Supervision

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// `llmos ps`: the processes of the suite.
struct ProcessList: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ps",
    abstract: "Lists the processes of the suite on this machine.",
    discussion: """
      STATE is starting, ready, draining (finishes its requests and ends), restarting (ended by itself and waits \
      to be started again) or unready (runs, but says that it cannot serve). RESTARTS counts how often it ended \
      by itself. RUNNING and WAITING are the requests of an inference process.
      """
  )

  enum Format: String, ExpressibleByArgument, CaseIterable {
    case table, json
  }

  @OptionGroup var suite: SuiteOptions

  @Option(help: "table or json.")
  var format = Format.table

  func run() async throws {
    let processes = try suite.running().processes
    let rows = await withTaskGroup(of: (Int, Row).self) { group in
      for (index, process) in processes.enumerated() {
        group.addTask { (index, await Row(process)) }
      }
      return await group.reduce(into: [(Int, Row)]()) { $0.append($1) }
        .sorted { $0.0 < $1.0 }.map(\.1)
    }
    switch format {
    case .table: Output.table([Row.titles] + rows.map(\.cells))
    case .json:
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
      encoder.keyEncodingStrategy = .convertToSnakeCase
      Output.line(String(decoding: try encoder.encode(rows), as: UTF8.self))
    }
  }

  /// What is said of one process; nil is written as `null`, and as a dash.
  private struct Row: Encodable, Sendable {
    static let titles = [
      "NAME", "STATE", "PID", "RPC", "ADMIN", "HTTP", "UPTIME", "RESTARTS", "RSS", "RUNNING",
      "WAITING",
    ]

    let name: String
    let service: String
    var state: String
    let pid: Int32?
    let rpc: Int?
    let admin: Int?
    let http: Int?
    let uptimeSeconds: Double?
    let restarts: Int
    /// Why it ended last, if it ended by itself and is not ready again.
    let failure: String?
    let rssBytes: Int?
    var requestsRunning: Int?
    var requestsWaiting: Int?

    init(_ process: SuiteProcess) async {
      name = "\(process.instance)"
      service = process.instance.service.rawValue
      state = process.state.rawValue
      pid = process.pid
      (rpc, admin, http) = (process.ports?.rpc, process.ports?.admin, process.ports?.http)
      uptimeSeconds = process.startedAtMs.map {
        Double(max(0, Int64(Date().timeIntervalSince1970 * 1000) - $0)) / 1000
      }
      restarts = process.restarts
      failure = process.failure
      rssBytes = process.pid.flatMap { ResidentMemory.bytes(of: $0) }
      guard process.isReady, let admin else { return }
      let probe = ReadinessProbe(client: .shared)
      guard await probe.isReady(adminPort: admin) else {
        state = "unready"
        return
      }
      guard process.instance.service == .inference else { return }
      let samples = await probe.samples(
        ["vllm:num_requests_running", "vllm:num_requests_waiting"],
        adminPort: admin
      )
      requestsRunning = samples?[0]
      requestsWaiting = samples?[1]
    }

    private enum CodingKeys: CodingKey {
      case name, service, state, pid, rpc, admin, http, uptimeSeconds, restarts, failure, rssBytes
      case requestsRunning, requestsWaiting
    }

    func encode(to encoder: any Encoder) throws {
      // Every key is there, so that a reader need not know which are left out when.
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(name, forKey: .name)
      try container.encode(service, forKey: .service)
      try container.encode(state, forKey: .state)
      try container.encode(pid, forKey: .pid)
      try container.encode(rpc, forKey: .rpc)
      try container.encode(admin, forKey: .admin)
      try container.encode(http, forKey: .http)
      try container.encode(uptimeSeconds, forKey: .uptimeSeconds)
      try container.encode(restarts, forKey: .restarts)
      try container.encode(failure, forKey: .failure)
      try container.encode(rssBytes, forKey: .rssBytes)
      try container.encode(requestsRunning, forKey: .requestsRunning)
      try container.encode(requestsWaiting, forKey: .requestsWaiting)
    }

    var cells: [String] {
      func text(_ number: Int?) -> String { number.map(String.init) ?? "-" }
      return [
        name, state, text(pid.map(Int.init)), text(rpc), text(admin), text(http),
        uptimeSeconds.map(Figures.duration(seconds:)) ?? "-", "\(restarts)",
        rssBytes.map { "\(Figures.fixed(Double($0) / 1_048_576, 0)) MiB" } ?? "-",
        text(requestsRunning), text(requestsWaiting),
      ]
    }
  }
}
