import GRPCCore
import GRPCNIOTransportHTTP2
import Glibc

/// `serve [CERTIFICATE KEY]` prints `port N` and serves until it is killed.
///
/// `load PORT CONNECTIONS STREAMS BYTES SECONDS [CERTIFICATE]` prints `calls`, `seconds`, `p50_us`,
/// `p99_us` and `mean_us` of unary calls in a closed loop.
@main
struct Main {
  static func main() async throws {
    let words = Array(CommandLine.arguments.dropFirst())
    switch words.first {
    case "serve": try await serve(words.count == 3 ? (words[1], words[2]) : nil)
    case "load" where words.count >= 6:
      let numbers = words[1...5].compactMap { Int($0) }
      guard numbers.count == 5 else { fallthrough }
      try await load(
        port: numbers[0],
        connections: numbers[1],
        streams: numbers[2],
        bytes: numbers[3],
        seconds: numbers[4],
        certificate: words.count > 6 ? words[6] : nil
      )
    default:
      let usage = "serve [CERTIFICATE KEY] | load PORT CONNECTIONS STREAMS BYTES SECONDS [CERT]\n"
      _ = write(STDERR_FILENO, usage, usage.utf8.count)
      exit(64)
    }
  }

  static func serve(_ tls: (certificate: String, key: String)?) async throws {
    let security: HTTP2ServerTransport.Posix.TransportSecurity =
      tls.map { tls in
        .tls(
          certificateChain: [.file(path: tls.certificate, format: .pem)],
          privateKey: .file(path: tls.key, format: .pem)
        )
      } ?? .plaintext
    let server = GRPCServer(
      transport: .http2NIOPosix(
        address: .ipv4(host: "127.0.0.1", port: 0),
        transportSecurity: security
      ),
      services: [EchoService()]
    )
    try await withThrowingDiscardingTaskGroup { group in
      group.addTask { try await server.serve() }
      if let port = try await server.listeningAddress?.ipv4?.port {
        print("port \(port)")
        fflush(nil)
      }
    }
  }

  static func load(
    port: Int,
    connections: Int,
    streams: Int,
    bytes: Int,
    seconds: Int,
    certificate: String?
  ) async throws {
    let security: HTTP2ClientTransport.Posix.TransportSecurity =
      certificate.map { path in
        .tls { config in
          config.trustRoots = .certificates([.file(path: path, format: .pem)])
          config.serverCertificateVerification = .noHostnameVerification
        }
      } ?? .plaintext
    let payload = [UInt8](repeating: 0x61, count: bytes)
    let clock = ContinuousClock()
    let start = clock.now
    let end = start.advanced(by: .seconds(seconds))
    let times = try await withThrowingTaskGroup(of: [Double].self) { group in
      for _ in 0..<connections {
        group.addTask {
          try await withGRPCClient(
            transport: .http2NIOPosix(
              target: .ipv4(address: "127.0.0.1", port: port),
              transportSecurity: security
            )
          ) { client in
            try await withThrowingTaskGroup(of: [Double].self) { calls in
              for _ in 0..<streams {
                calls.addTask {
                  var times: [Double] = []
                  while true {
                    let begun = clock.now
                    guard begun < end else { return times }
                    let answer = try await client.unary(
                      request: ClientRequest(message: EchoMessage(payload: payload)),
                      descriptor: EchoMethods.unary,
                      serializer: EchoCodec(),
                      deserializer: EchoCodec(),
                      options: .defaults
                    ) { try $0.message }
                    precondition(answer.payload.count == payload.count)
                    times.append(begun.duration(to: clock.now) / .microseconds(1))
                  }
                }
              }
              return try await calls.reduce(into: []) { $0 += $1 }
            }
          }
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }.sorted()
    }
    let wall = start.duration(to: clock.now) / .seconds(1)
    guard !times.isEmpty else { exit(1) }
    print(
      """
      calls \(times.count) seconds \(wall) p50_us \(times[times.count / 2]) \
      p99_us \(times[min(times.count - 1, times.count * 99 / 100)]) \
      mean_us \(times.reduce(0, +) / Double(times.count))
      """
    )
  }
}
