import RPC
import Synchronization
import Testing

/// Our server under the client of Python's grpcio: `Tests/Interop/rpc/grpcio_client.py`.
@Suite(
  .timeLimit(.minutes(3)),
  .enabled(if: Peers.python != nil, "LLMOS_PEERS has no Python with grpcio")
)
struct GRPCIOClientTests {
  private static let cases = [
    "unary", "server_streaming", "client_streaming", "bidirectional", "metadata",
    "status_and_message", "status_after_messages", "unknown_method", "deadline", "cancellation",
    "large_messages", "slow_reader", "limit", "large_metadata", "compression", "early_response",
    "concurrent", "retries", "drain",
  ]

  @Test func `grpcio's client finds our server conforming`() async throws {
    let state = InteropState()
    try await withServer(state.service) { server, port in
      state.onDrain.withLock { $0 = { await server.shutdown(grace: .seconds(60)) } }
      let python = try Subprocess(
        try #require(Peers.python),
        [Peers.script("grpcio_client.py"), "\(port)"]
      )
      defer { python.terminate() }
      var passed: [String] = []
      for await line in python.lines() {
        if line.hasPrefix("ok ") {
          passed.append(String(line.dropFirst(3)))
        } else {
          Issue.record("\(line)")
        }
      }
      #expect(passed == Self.cases)
    }
  }
}
