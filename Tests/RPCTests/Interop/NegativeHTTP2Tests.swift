import RPC
import Testing

/// Our client against servers that misbehave (negative-http2-interop-test-descriptions.md):
/// `Tests/Interop/rpc/h2_server.py`.
@Suite(
  .timeLimit(.minutes(2)),
  .enabled(if: Peers.python != nil, "LLMOS_PEERS has no Python with h2")
)
struct NegativeHTTP2Tests {
  private func run(
    _ name: String,
    _ body: (InteropCases, PythonServer) async throws -> Void
  ) async throws {
    try await PythonServer.with("h2_server.py", [name]) { channel, server in
      await ConformanceTable.run("\(name) (h2)", .client) {
        try await body(InteropCases(channel: channel, port: server.port), server)
      }
    }
  }

  private func verdict(_ server: PythonServer, _ name: String) async throws {
    try equal(await server.nextLine(), "ok \(name)", "the server:")
  }

  @Test func `after a GOAWAY the next call goes over a new connection`() async throws {
    try await run("goaway") { cases, server in
      try await cases.largeUnary()
      try await cases.largeUnary()
      try await verdict(server, "goaway")
    }
  }

  @Test(arguments: ["rst_after_header", "rst_during_data", "rst_after_data"])
  func `a stream that is reset before its trailers fails`(name: String) async throws {
    try await run(name) { cases, _ in
      let error = try await failure { try await cases.unary(InteropCases.large) }
      // A reset without an error, and without a status, is no regular end.
      try equal(error.code, .internal)
    }
  }

  @Test func `pings are answered at any time`() async throws {
    try await run("ping") { cases, server in
      try await cases.largeUnary()
      try await verdict(server, "ping")
    }
  }

  @Test func `a limit of streams that shrinks is respected`() async throws {
    try await run("max_streams") { cases, server in
      try await cases.largeUnary()
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<10 { group.addTask { try await cases.largeUnary() } }
        try await group.waitForAll()
      }
      try await verdict(server, "max_streams")
    }
  }

  @Test func `padding counts towards the windows and is given back`() async throws {
    try await run("data_frame_padding") { cases, server in
      // With its padding more than three times the connection's window.
      let response = try await cases.unary(SimpleRequest(responseSize: 4_000_000))
      try equal(response.payload, Payload(size: 4_000_000))
      try await verdict(server, "data_frame_padding")
    }
  }
}
