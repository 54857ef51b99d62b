import RPC
import Testing

/// gRPC's interop cases without credentials between our sides and grpcio's, and on the wire
/// against Python's `h2`.
@Suite(
  .serialized,
  .timeLimit(.minutes(5)),
  .enabled(if: Peers.python != nil, "LLMOS_PEERS has no Python with grpcio and h2")
)
struct InteropTests {
  @Test(arguments: [("interop_client.py", " (grpcio)"), ("h2_client.py", " (h2, flags seen)")])
  func `our server serves foreign clients`(script: String, suffix: String) async throws {
    try await withServer(TestService()) { _, port in
      let python = try Subprocess(try #require(Peers.python), [Peers.script(script), "\(port)"])
      let cases =
        script == "h2_client.py"
        ? InteropCases.compressed.map(\.name)
        : Set(InteropCases.all.map(\.name) + InteropCases.compressed.map(\.name)).sorted()
      await ConformanceTable.add(python.lines(), .server, suffix: suffix, cases: cases)
      python.terminate()
    }
  }

  @Test func `our client calls grpcio's server`() async throws {
    try await PythonServer.with("interop_server.py") { channel, server in
      let cases = InteropCases(channel: channel, port: server.port)
      for (name, run) in InteropCases.all {
        await ConformanceTable.run(name + " (grpcio)", .client) { try await run(cases) }
      }
    }
  }

  @Test func `our client compresses and decompresses on the wire`() async throws {
    try await PythonServer.with("h2_server.py", ["compression"]) { channel, server in
      let cases = InteropCases(channel: channel, port: server.port)
      for (name, run) in InteropCases.compressed {
        await ConformanceTable.run(name + " (h2, flags seen)", .client) { try await run(cases) }
      }
    }
  }
}

/// A server in Python, from a script that prints `port PORT` first.
final class PythonServer {
  let port: Int
  private var lines: AsyncStream<String>.Iterator

  private init(port: Int, lines: AsyncStream<String>.Iterator) {
    self.port = port
    self.lines = lines
  }

  /// The next line that the script prints; nil once it has ended.
  func nextLine() async -> String? { await lines.next() }

  /// Runs `body` with the server and a channel to it.
  static func with(
    _ script: String,
    _ arguments: [String] = [],
    configuration: ChannelConfiguration = ChannelConfiguration(),
    _ body: (RPCChannel, PythonServer) async throws -> Void
  ) async throws {
    let python = try Subprocess(
      try #require(Peers.python),
      [Peers.script(script)] + arguments
    )
    defer { python.terminate() }
    var lines = python.lines().makeAsyncIterator()
    let line = try #require(await lines.next())
    let port = try #require(Int(line.dropFirst("port ".count)))
    let channel = RPCChannel(
      host: "127.0.0.1",
      port: port,
      configuration: configuration,
      group: testGroup
    )
    do {
      try await body(channel, PythonServer(port: port, lines: lines))
    } catch {
      await channel.close()
      throw error
    }
    await channel.close()
  }
}
