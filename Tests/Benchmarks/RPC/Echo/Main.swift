import Glibc
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import RPC

/// `serve [CERTIFICATE KEY]` prints `port N` and serves until it is killed.
///
/// `load PORT CONNECTIONS STREAMS BYTES SECONDS [CERTIFICATE]` prints `calls`, `seconds`, `p50_us`,
/// `p99_us` and `mean_us` of unary calls in a closed loop.
@main
struct Main {
  static func main() {
    Task { @concurrent in
      do {
        try await run()
      } catch {
        print(error)
        exit(1)
      }
      exit(0)
    }
    // Not an asynchronous `main`, which ends its thread: profilers do not bear that.
    while true { pause() }
  }

  private static func run() async throws {
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

  private static func serve(_ files: (certificate: String, key: String)?) async throws {
    var router = Router()
    router.register(EchoService())
    var configuration = ServerConfiguration()
    configuration.logger.logLevel = .warning
    configuration.maxConnections = 20_000
    if let files {
      var tls = TLSConfiguration.makeServerConfiguration(
        certificateChain: try NIOSSLCertificate.fromPEMFile(files.certificate).map {
          .certificate($0)
        },
        privateKey: .privateKey(try NIOSSLPrivateKey(file: files.key, format: .pem))
      )
      tls.applicationProtocols = ["h2"]
      configuration.tls = try NIOSSLContext(configuration: tls)
    }
    let server = RPCServer(
      router: router,
      configuration: configuration,
      group: MultiThreadedEventLoopGroup.singleton
    )
    let address = try await server.start()
    print("port \(address.port ?? 0)")
    fflush(nil)
    while true { try await Task.sleep(for: .seconds(3_600)) }
  }

  private static func load(
    port: Int,
    connections: Int,
    streams: Int,
    bytes: Int,
    seconds: Int,
    certificate: String?
  ) async throws {
    var configuration = ChannelConfiguration()
    if let certificate {
      var tls = TLSConfiguration.makeClientConfiguration()
      tls.trustRoots = .file(certificate)
      tls.certificateVerification = .noHostnameVerification
      tls.applicationProtocols = ["h2"]
      configuration.tls = try NIOSSLContext(configuration: tls)
    }
    let request = EchoMessage(payload: [UInt8](repeating: 0x61, count: bytes))
    let channels = (0..<connections).map { _ in
      RPCChannel(
        host: "127.0.0.1",
        port: port,
        configuration: configuration,
        group: MultiThreadedEventLoopGroup.singleton
      )
    }
    let clock = ContinuousClock()
    let start = clock.now
    let end = start.advanced(by: .seconds(seconds))
    let times = try await withThrowingTaskGroup(of: [Double].self) { group in
      for channel in channels {
        for _ in 0..<streams {
          group.addTask {
            var times: [Double] = []
            while true {
              let begun = clock.now
              guard begun < end else { return times }
              let options = CallOptions(readyTimeout: .seconds(10))
              let answer: EchoMessage = try await channel.unary(
                EchoMethods.unary,
                request,
                options: options
              )
              precondition(answer.payload.count == request.payload.count)
              times.append(begun.duration(to: clock.now) / .microseconds(1))
            }
          }
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }.sorted()
    }
    let wall = start.duration(to: clock.now) / .seconds(1)
    for channel in channels { await channel.close() }
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
