import Synchronization
import Testing

@testable import RPC

/// What interceptors of a client see and change.
@Suite(.timeLimit(.minutes(5))) struct ClientInterceptorTests {
  /// Writes down what it sees.
  private final class Recorder: ClientInterceptor {
    let name: String
    let log: Mutex<[String]>
    let token: String?
    let refusal: RPCError?
    let next: Recorder?

    init(
      _ name: String,
      token: String? = nil,
      refusal: RPCError? = nil,
      into next: Recorder? = nil
    ) {
      (self.name, self.token, self.refusal, self.next) = (name, token, refusal, next)
      log = Mutex([])
    }

    private func note(_ line: String) {
      if let next { next.note(line) } else { log.withLock { $0.append(line) } }
    }

    var lines: [String] { log.withLock { $0 } }

    func begin(
      _ method: MethodDescriptor,
      _ options: inout CallOptions
    ) throws(RPCError) -> End? {
      note("\(name) \(method.method)")
      if let token { options.metadata.add(token, for: "authorization") }
      if let refusal { throw refusal }
      return { end in
        let seen = end.trailingMetadata?.first("x-trailing") ?? "-"
        self.note("\(self.name) \(end.error?.code.name ?? "OK") \(end.attempts) \(seen)")
      }
    }
  }

  @Test func `interceptors change what is asked for and hear how it ended`() async throws {
    var service = EchoService()
    service.unary = { _, context in
      Bytes(context.metadata.first("authorization") ?? "none")
    }
    let outer = Recorder("outer")
    var configuration = ChannelConfiguration()
    configuration.interceptors = [outer, Recorder("inner", token: "secret", into: outer)]
    try await withLoopback(service, channel: configuration) { channel, _ in
      let answer: Bytes = try await channel.unary(EchoMethods.unary, Bytes("x"))
      #expect(answer == "secret")
      #expect(outer.lines == ["outer Unary", "inner Unary", "inner OK 1 -", "outer OK 1 -"])
    }
  }

  @Test func `they hear errors, and one end for a call that was made again`() async throws {
    let recorder = Recorder("r")
    var configuration = ChannelConfiguration()
    configuration.interceptors = [recorder]
    configuration.serviceConfig.methodConfig = [
      MethodConfig(
        name: [.init()],
        repetition: .retry(
          MethodConfig.RetryPolicy(
            maxAttempts: 2,
            initialBackoff: .milliseconds(1),
            maxBackoff: .milliseconds(1),
            retryableStatusCodes: [.unavailable]
          )
        )
      )
    ]
    try await RawServer.with(
      { server, stream, _ in
        server.session.refuse(stream, .unavailable, [HeaderField("x-trailing", "t")])
      },
      channel: configuration
    ) { channel in
      let error = try await failure {
        try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes
      }
      #expect(error.code == .unavailable)
      #expect(recorder.lines == ["r Unary", "r UNAVAILABLE 2 t"])
    }
  }

  @Test func `one that refuses a call ends it for those before it`() async throws {
    let outer = Recorder("outer")
    let refusal = RPCError(.permissionDenied, "no")
    var configuration = ChannelConfiguration()
    configuration.interceptors = [outer, Recorder("inner", refusal: refusal, into: outer)]
    try await withLoopback(channel: configuration) { channel, _ in
      let error = try await failure {
        try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes
      }
      #expect(error.code == .permissionDenied)
      #expect(outer.lines == ["outer Unary", "inner Unary", "outer PERMISSION_DENIED 0 -"])
    }
  }
}
