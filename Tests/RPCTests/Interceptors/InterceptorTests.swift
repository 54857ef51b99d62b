import Logging
import NIOCore
import Synchronization
import Testing

@testable import RPC

/// The interceptors that come with RPC, at both roles.
@Suite(.timeLimit(.minutes(5))) struct InterceptorTests {
  private static let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

  /// The methods of EchoService with interceptors around them.
  private struct Intercepted: RPCService {
    static let serviceName = EchoMethods.service
    var service = EchoService()
    let wrap: @Sendable (inout Router) -> Void

    func register(in router: inout Router) {
      service.register(in: &router)
      wrap(&router)
    }
  }

  /// Calls a server whose methods are wrapped.
  private func withChannel(
    _ service: EchoService = EchoService(),
    client: [any ClientInterceptor] = [],
    configuration: ServerConfiguration = ServerConfiguration(),
    wrap: @escaping @Sendable (inout Router) -> Void = { _ in },
    _ body: (RPCChannel) async throws -> Void
  ) async throws {
    try await withServer(Intercepted(service: service, wrap: wrap), configuration) { _, port in
      var channelConfiguration = ChannelConfiguration()
      channelConfiguration.interceptors = client
      let channel = RPCChannel(
        host: "127.0.0.1",
        port: port,
        configuration: channelConfiguration,
        group: testGroup
      )
      do {
        try await body(channel)
      } catch {
        await channel.close()
        throw error
      }
      await channel.close()
    }
  }

  private func call(_ channel: RPCChannel, _ metadata: Metadata = Metadata()) async throws -> Bytes
  {
    let options = CallOptions(metadata: metadata)
    return try await channel.unary(EchoMethods.unary, Bytes("x"), options: options)
  }

  private func refusal(
    _ channel: RPCChannel,
    _ metadata: Metadata = Metadata()
  ) async throws -> StatusCode {
    try await failure { try await call(channel, metadata) }.code
  }

  // MARK: Calls that reach no handler

  /// Counts what it is told.
  private final class Count: CallMetrics {
    private let counts = Mutex((started: 0, statuses: [StatusCode]()))
    let ended = Counter()

    var value: (started: Int, statuses: [StatusCode]) { counts.withLock { $0 } }

    func started(_ method: MethodDescriptor?) { counts.withLock { $0.started += 1 } }

    func ended(_ method: MethodDescriptor?, _ status: StatusCode, _ duration: Duration?) {
      counts.withLock { $0.statuses.append(status) }
      ended.increment()
    }
  }

  @Test func `a call that ends before its handler is counted and logged as the others are`()
    async throws
  {
    let (log, count) = (LogCapture(), Count())
    var (router, configuration) = (Router(), ServerConfiguration())
    configuration.maxMessageBytes = 1_000
    configuration.logger.logLevel = .critical
    router.register(EchoService())
    CallLog(log.logger).install(in: &router, &configuration)
    CallCounter(count).install(in: &router, &configuration)
    let server = RPCServer(router: router, configuration: configuration, group: testGroup)
    let channel = server.inProcessChannel()
    let large = Bytes([UInt8](repeating: 7, count: 1_001))
    let error = try await failure { try await channel.unary(EchoMethods.unary, large) as Bytes }
    #expect(error.code == .resourceExhausted)
    let small: Bytes = try await channel.unary(EchoMethods.unary, Bytes("x"))
    #expect(small == "x")
    _ = await count.ended.wait(above: 1)
    await channel.close()
    await server.shutdown(grace: .zero)
    #expect(count.value.started == 2)
    #expect(count.value.statuses == [.resourceExhausted, .ok])
    #expect(log.lines.count { $0.contains("method=/test.Echo/Unary") } == 2)
    #expect(log.lines.first?.contains("status=RESOURCE_EXHAUSTED") == true, "\(log.lines)")
  }

  @Test func `a reset by the client is its wish to cancel, whatever code it gives`() async throws {
    let count = Count()
    var (router, configuration) = (Router(), ServerConfiguration())
    configuration.logger.logLevel = .critical
    router.register(EchoService())
    CallCounter(count).install(in: &router, &configuration)
    let server = RPCServer(router: router, configuration: configuration, group: testGroup)
    let port = try #require(try await server.start().port)
    let (peer, channel) = try await RawPeer.connect(port: port)
    let fields = requestHead.map {
      $0.name == ":path" ? HeaderField(":path", EchoMethods.chat.path) : $0
    }
    let codes = [HTTP2ErrorCode.noError, .internalError, .refusedStream]
    await peer.perform(
      { session in for _ in codes { _ = session.submitRequest(fields, endStream: false) } },
      on: channel
    )
    await peer.perform(
      { session in
        for (index, code) in codes.enumerated() { session.reset(Int32(2 * index + 1), code) }
      },
      on: channel
    )
    _ = await count.ended.wait(above: 2)
    try? await channel.close()
    await server.shutdown(grace: .zero)
    #expect(count.value.statuses == [.cancelled, .cancelled, .cancelled])
  }

  @Test func `an error without a message has no head, so that clients may try again`() async throws
  {
    let attempts = Counter()
    var service = EchoService()
    service.unary = { request, context in
      var metadata = Metadata()
      metadata.add("1", for: "request-id")
      context.setInitialMetadata(metadata)
      if attempts.increment() < 3 { throw RPCError(.unavailable, "not yet") }
      return request
    }
    let policy = MethodConfig.RetryPolicy(
      maxAttempts: 3,
      initialBackoff: .milliseconds(1),
      maxBackoff: .milliseconds(1),
      retryableStatusCodes: [.unavailable]
    )
    var configuration = ChannelConfiguration()
    configuration.serviceConfig = ServiceConfig(
      methodConfig: [
        MethodConfig(name: [.init(service: EchoMethods.service)], repetition: .retry(policy))
      ]
    )
    try await withLoopback(service, channel: configuration) { channel, _ in
      let answer: Bytes = try await channel.unary(EchoMethods.unary, Bytes("x"))
      #expect(answer == "x")
      #expect(attempts.value == 3)
    }
  }

  // MARK: Log

  @Test func `each role writes a line per call, whose level is its status's`() async throws {
    let (server, client) = (LogCapture(), LogCapture())
    var service = EchoService()
    service.unary = { request, context in
      if context.metadata.first("fail") != nil { throw RPCError(.internal, "broken part") }
      return request
    }
    let serverLog = CallLog(server.logger)
    try await withChannel(
      service,
      client: [CallLog(client.logger)],
      wrap: { $0.intercept(serverLog) }
    ) { channel in
      _ = try await call(channel)
      var metadata = Metadata()
      metadata.add("1", for: "fail")
      _ = try await failure { try await call(channel, metadata) }
    }
    for lines in [server.lines, client.lines] {
      #expect(lines.count == 2)
      for line in lines {
        #expect(line.hasPrefix("call duration_ms="))
        #expect(line.contains(" method=/test.Echo/Unary peer=127.0.0.1:"))
      }
      #expect(lines.first?.hasSuffix(" status=OK") == true)
      #expect(lines.last?.hasSuffix(" reason=broken part status=INTERNAL") == true)
    }
    #expect(CallLog.level(of: .internal) == .error)
    #expect(CallLog.level(of: .notFound) == .info)
  }

  @Test func `quiet services and calls below the logger's level are not logged`() async throws {
    let capture = LogCapture()
    var logger = capture.logger
    logger.logLevel = .info
    let log = CallLog(logger, quietServices: [EchoMethods.service])
    try await withChannel(wrap: { $0.intercept(log) }) { channel in _ = try await call(channel) }
    #expect(capture.lines.isEmpty)
  }

  // MARK: Metrics

  /// Writes down what it is told.
  private final class Metrics: CallMetrics {
    private let log = Mutex<[String]>([])
    let ends = Counter()

    var lines: [String] { log.withLock { $0.sorted() } }

    func started(_ method: MethodDescriptor?) {
      log.withLock { $0.append("started \(method?.method ?? "unknown")") }
    }

    func ended(_ method: MethodDescriptor?, _ status: StatusCode, _ duration: Duration?) {
      let timed = duration.map { $0 >= .zero } == true ? "timed" : "not timed"
      log.withLock { $0.append("ended \(method?.method ?? "unknown") \(status) \(timed)") }
      ends.increment()
    }
  }

  @Test func `a call is counted once at each role, one of no method as unknown`() async throws {
    let (server, client) = (Metrics(), Metrics())
    var router = Router()
    router.register(EchoService())
    let heard = Counter()
    var configuration = ServerConfiguration()
    configuration.onCallEnd = { _ in heard.increment() }
    CallCounter(server).install(in: &router, &configuration)
    let rpcServer = RPCServer(router: router, configuration: configuration, group: testGroup)
    var channelConfiguration = ChannelConfiguration()
    channelConfiguration.interceptors = [CallCounter(client)]
    let channel = rpcServer.inProcessChannel(configuration: channelConfiguration)
    _ = try await call(channel)
    let absent = MethodDescriptor(service: "test.Echo", method: "Absent", kind: .unary)
    let error = try await failure { try await channel.unary(absent, Bytes("x")) as Bytes }
    #expect(error.code == .unimplemented)
    _ = await server.ends.wait(above: 1)
    await channel.close()
    await rpcServer.shutdown(grace: .zero)
    #expect(
      server.lines == [
        "ended Unary OK timed", "ended unknown UNIMPLEMENTED not timed", "started Unary",
        "started unknown",
      ]
    )
    #expect(
      client.lines == [
        "ended Absent UNIMPLEMENTED timed", "ended Unary OK timed", "started Absent",
        "started Unary",
      ]
    )
    #expect(heard.value == 1)
  }

  // MARK: Trace

  @Test func `a trace goes from call to call within a task`() async throws {
    var service = EchoService()
    // What a further call of this handler would carry.
    service.unary = { _, context in
      var options = CallOptions()
      _ = TracePropagation().begin(EchoMethods.unary, &options)
      let state = options.metadata.first("tracestate") ?? "none"
      return Bytes("\(options.metadata.all("traceparent").joined()) \(state)")
    }
    let wrap: @Sendable (inout Router) -> Void = { $0.intercept(TracePropagation()) }
    try await withChannel(service, client: [TracePropagation()], wrap: wrap) { channel in
      var metadata = Metadata()
      metadata.add(Self.trace, for: "traceparent")
      metadata.add("a=1", for: "tracestate")
      metadata.add("b=2", for: "tracestate")
      #expect(try await call(channel, metadata).text == "\(Self.trace) a=1,b=2")
      let current = try #require(TraceContext(parent: Self.trace))
      let answer = try await TraceContext.$current.withValue(current) { try await call(channel) }
      #expect(answer.text == "\(Self.trace) none")
      // Without one, one begins.
      let fresh = try await call(channel).text.split(separator: " ").first ?? ""
      let trace = try #require(TraceContext(parent: String(fresh)))
      #expect(trace.traceID != current.traceID)
    }
  }

  @Test func `a trace that begins has ids of its own`() throws {
    let traces = (0..<100).map { _ in TraceContext.fresh() }
    #expect(Set(traces.map(\.traceID)).count == 100)
    #expect(traces.allSatisfy { TraceContext(parent: $0.parent) == $0 && $0.traceID.count == 32 })
    var twice = Metadata()
    twice.add(Self.trace, for: "traceparent")
    twice.add(Self.trace, for: "traceparent")
    #expect(TraceContext(twice) == nil)
    var options = CallOptions()
    _ = TracePropagation(beginsTraces: false).begin(EchoMethods.unary, &options)
    #expect(options.metadata.isEmpty)
  }

  // MARK: Authorization

  @Test func `a server refuses calls without a token or with a wrong one`() async throws {
    let check = CallAuthorization { context in
      guard let token = context.bearerToken else { return .unauthenticated }
      return CallAuthorization.isSame(token, "secret") ? .allow : .deny
    }
    let token = Mutex<String?>(nil)
    let credentials = BearerCredentials { _ in token.withLock { $0 } }
    try await withChannel(client: [credentials], wrap: { $0.intercept(check) }) { channel in
      let none = try await refusal(channel)
      #expect(none == .unauthenticated)
      token.withLock { $0 = "wrong" }
      let wrong = try await refusal(channel)
      #expect(wrong == .permissionDenied)
      token.withLock { $0 = "secret" }
      let answer = try await call(channel)
      #expect(answer == "x")
      // What a call brings itself counts before the credentials.
      var metadata = Metadata()
      metadata.add("Basic c2VjcmV0", for: "authorization")
      let basic = try await refusal(channel, metadata)
      #expect(basic == .unauthenticated)
    }
  }

  @Test func `open services are not checked, and no token refuses a call before it is sent`()
    async throws
  {
    let check = CallAuthorization(openServices: [EchoMethods.service]) { _ in .deny }
    try await withChannel(wrap: { $0.intercept(check) }) { channel in
      let answer = try await call(channel)
      #expect(answer == "x")
    }
    let credentials = BearerCredentials { (method) throws(RPCError) in
      throw RPCError(.unauthenticated, "\(method.method): the token has expired")
    }
    try await withChannel(client: [credentials]) { channel in
      let error = try await failure { try await call(channel) }
      #expect(error.message == "Unary: the token has expired")
    }
  }

  @Test(arguments: [
    ("Bearer abc", "abc"), ("bearer  abc", "abc"), ("Bearer", nil), ("Bearer ", nil),
    ("Basic abc", nil), ("", nil),
  ])
  func `bearer tokens are read as RFC 6750 writes them`(header: String, token: String?) {
    var metadata = Metadata()
    metadata.add(header, for: "authorization")
    #expect(ServerContext(method: EchoMethods.unary, metadata: metadata).bearerToken == token)
  }

  @Test func `a client is known by its certificate`() async throws {
    let check = CallAuthorization { context in
      guard let peer = context.peer else { return .unauthenticated }
      return peer.dnsNames.contains("gateway.llmos") ? .allow : .deny
    }
    for (peer, code) in [
      (nil, StatusCode.unauthenticated), (PeerIdentity(dnsNames: ["gateway.llmos"]), .ok),
      (PeerIdentity(commonName: "gateway.llmos"), .permissionDenied),
    ] {
      let context = ServerContext(method: EchoMethods.unary, peer: peer)
      do {
        try await check.intercept(context) {}
        #expect(code == .ok)
      } catch {
        #expect((error as? RPCError)?.code == code)
      }
    }
  }

  @Test func `tokens are the same or not`() {
    #expect(CallAuthorization.isSame("abc", "abc"))
    #expect(!CallAuthorization.isSame("abcabc", "abc"))
    #expect(!CallAuthorization.isSame("", "abc"))
    #expect(!CallAuthorization.isSame("abc", ""))
  }
}
