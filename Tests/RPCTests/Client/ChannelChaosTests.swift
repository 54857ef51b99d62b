import NIOCore
import Testing

@testable import RPC

/// Many calls against a server that does everything wrong, and what is left of them.
@Suite(.timeLimit(.minutes(5))) struct ChannelChaosTests {
  private static let repetitions: [MethodConfig.Repetition?] = [
    nil,
    .retry(
      .init(
        maxAttempts: 4,
        initialBackoff: .milliseconds(1),
        maxBackoff: .milliseconds(5),
        retryableStatusCodes: [.unavailable, .internal]
      )
    ),
    .hedge(
      .init(
        maxAttempts: 3,
        hedgingDelay: .milliseconds(2),
        nonFatalStatusCodes: [.unavailable, .internal]
      )
    ),
  ]

  private static func act(_ server: RawServer, _ stream: Int32, _ number: UInt64) {
    var random = SeededGenerator(seed: number)
    switch Int.random(in: 0..<12, using: &random) {
    case 0: server.session.refuse(stream, .unavailable)
    case 1: server.session.refuse(stream, .internal, [HeaderField("grpc-retry-pushback-ms", "1")])
    case 2: server.session.reset(stream, .refusedStream)
    case 3: server.session.reset(stream, .cancel)
    case 4:
      server.session.submitGoAway()
      server.session.answer(stream, "ok")
    case 5: server.close()
    case 6:
      server.session.submitResponse(stream, responseHead, endStream: false)
      server.flush()
      server.close()
    case 7: server.session.submitResponse(stream, responseHead, endStream: true)
    default: server.session.answer(stream, "ok")
    }
  }

  @Test(arguments: 0..<3, 0..<3 as Range<UInt64>)
  func `every call ends once, and nothing stays counted`(kind: Int, seed: UInt64) async throws {
    var configuration = ChannelConfiguration()
    configuration.backoffInitial = .milliseconds(1)
    configuration.backoffMax = .milliseconds(10)
    configuration.maxConnectionsPerEndpoint = 3
    configuration.serviceConfig = ServiceConfig(
      methodConfig: [MethodConfig(name: [.init()], repetition: Self.repetitions[kind])],
      loadBalancing: seed % 2 == 0 ? .leastRequest() : .pickFirst()
    )
    var limits = HTTP2SessionLimits()
    limits.maxConcurrentStreams = 5
    try await RawServer.with(
      { server, stream, before in Self.act(server, stream, seed &* 10_000 &+ UInt64(before)) },
      limits: limits,
      channel: configuration
    ) { channel in
      let ended = try await withThrowingTaskGroup(of: Bool.self) { group in
        for index in 0..<150 {
          group.addTask {
            do {
              let answer: Bytes = try await channel.unary(
                EchoMethods.unary,
                Bytes("x"),
                options: CallOptions(timeout: .seconds(120), waitForReady: index % 3 != 0)
              )
              return answer.text == "ok"
            } catch let error as RPCError {
              return error.code != .deadlineExceeded && error.code != .ok
            }
          }
        }
        return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
      }
      #expect(ended == 150)
      let core = channel.lifetime.core
      let counts = try await core.eventLoop.submit { core.counts() }.get()
      #expect(counts == ChannelCore.Counts())
    }
  }
}
