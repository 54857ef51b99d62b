#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A service of the suite, in the order in which they start: each needs only those before it.
package enum Service: String, Sendable, CaseIterable, Codable {
  case data
  case tokenizer
  case inference
  case training
  case gateway

  /// The most processes of one service on one machine.
  package static let replicasMax = 64

  /// Services that can start together: all that they need is in an earlier wave.
  package static let waves: [[Service]] = [
    [.data], [.tokenizer, .inference, .training], [.gateway],
  ]

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

  /// Whether several processes can do the work of one: they share nothing, and the gateway divides the
  /// requests among them.
  package var isReplicated: Bool { self == .inference }

  /// How many processes the service may have.
  package var replicaCounts: ClosedRange<Int> { 1...(isReplicated ? Self.replicasMax : 1) }

  /// How long running requests may take to end when a process is stopped: `shutdown.grace`.
  ///
  /// Inference has the time that Kubernetes gives a pod, for whole answers are computed there; it stops
  /// after the gateway when all stops, so that nobody waits for it then.
  package var drainGrace: Duration { self == .inference ? .seconds(30) : .seconds(10) }

  /// The services that must listen before this one starts, with the option that takes their address.
  ///
  /// The gateway finds the replicas of inference in a file instead, ``SuiteLayout/addresses``.
  package var peers: [(service: Service, option: String)] {
    switch self {
    case .data: []
    case .tokenizer, .inference: [(.data, "registry.address")]
    case .training: [(.data, "data.address")]
    case .gateway:
      [
        (.data, "registry.address"), (.tokenizer, "tokenizer.address"),
        (.training, "training.address"),
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

  /// The same listeners, on ports that the system chooses where others listen.
  package var freeOrChosenBySystem: ServicePorts {
    func free(_ port: Int?) -> Int? { port.map { Self.isFree($0) ? $0 : 0 } }
    return ServicePorts(rpc: free(rpc), admin: free(admin), http: free(http))
  }

  /// Whether a port of the loopback interface can be listened on at this moment.
  static func isFree(_ port: Int) -> Bool {
    guard let number = UInt16(exactly: port) else { return false }
    let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    // As the services do: connections that have just ended leave their port free.
    var isOn: CInt = 1
    let length = socklen_t(MemoryLayout.size(ofValue: isOn))
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &isOn, length)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = number.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
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
