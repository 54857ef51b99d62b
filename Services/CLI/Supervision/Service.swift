/// A service of the suite, in the order in which they start: each needs only those before it.
package enum Service: String, Sendable, CaseIterable, Codable {
  case data
  case tokenizer
  case inference
  case training
  case gateway

  /// The executable's name, beside `llmos` itself.
  package var executable: String { "llmos-\(rawValue)" }

  /// The ports of a suite that does not ask for others.
  package var defaultPorts: ServicePorts {
    switch self {
    case .gateway: ServicePorts(rpc: 7100, admin: 8100, http: 8080)
    case .tokenizer: ServicePorts(rpc: 7101, admin: 8101, http: nil)
    case .inference: ServicePorts(rpc: 7102, admin: 8102, http: nil)
    case .training: ServicePorts(rpc: 7103, admin: 8103, http: nil)
    case .data: ServicePorts(rpc: 7104, admin: 8104, http: nil)
    }
  }

  /// The services that must listen before this one starts, with the option that takes their address.
  package var peers: [(service: Service, option: String)] {
    switch self {
    case .data: []
    case .tokenizer, .inference: [(.data, "registry.address")]
    case .training: [(.data, "data.address")]
    case .gateway:
      [
        (.data, "registry.address"), (.tokenizer, "tokenizer.address"),
        (.inference, "inference.address"), (.training, "training.address"),
      ]
    }
  }
}

/// The TCP ports a service listens on, on the loopback interface; 0 asks the system for one.
package struct ServicePorts: Sendable, Equatable, Codable {
  /// gRPC over HTTP/2.
  package var rpc: Int?
  /// `/livez`, `/readyz` and `/metrics`.
  package var admin: Int?
  /// The public HTTP API.
  package var http: Int?

  /// Ports, each nil where the service has no such listener.
  package init(rpc: Int?, admin: Int?, http: Int?) {
    self.rpc = rpc
    self.admin = admin
    self.http = http
  }

  /// The same listeners on ports that the system chooses.
  package var chosenBySystem: ServicePorts {
    ServicePorts(rpc: rpc.map { _ in 0 }, admin: admin.map { _ in 0 }, http: http.map { _ in 0 })
  }

  /// The options that ask for these ports.
  package var arguments: [String] {
    var arguments: [String] = []
    if let rpc { arguments += ["--rpc.port", String(rpc)] }
    if let admin { arguments += ["--admin.port", String(admin)] }
    if let http { arguments += ["--http.port", String(http)] }
    return arguments
  }
}
