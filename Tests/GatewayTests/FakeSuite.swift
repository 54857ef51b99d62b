import Hummingbird
import HummingbirdTesting
import Logging
import NIOCore
import NIOPosix
import RPC
import ServiceAPI
import ServiceKit
import Synchronization

@testable import Gateway

/// The services behind a gateway, played by closures on one loopback RPC server.
final class FakeSuite: Sendable {
  typealias Generate =
    @Sendable (
      InferenceV1.GenerateRequest, ServerContext, ResponseWriter<InferenceV1.GenerateResponse>
    ) async throws -> Void

  /// What was asked, in order.
  struct Calls: Sendable {
    var rendered: [TokenizerV1.RenderChatRequest] = []
    var encoded: [TokenizerV1.EncodeRequest] = []
    var generated: [InferenceV1.GenerateRequest] = []
    var classified: [InferenceV1.ClassifyTokensRequest] = []
    var scored: [InferenceV1.ClassifySequenceRequest] = []
    var requestIDs: [String?] = []
    var deadlines: [Duration?] = []
    /// Lists of models.
    var lists = 0
    /// What was to be loaded, "tokenizer chat@2".
    var loads: [String] = []
    /// Generations that were cancelled.
    var cancelled = 0
  }

  private let calls = Mutex(Calls())
  /// What was asked so far.
  var asked: Calls { calls.withLock { $0 } }
  let generate: Generate
  let encode: @Sendable (TokenizerV1.EncodeRequest) throws -> TokenizerV1.EncodeResponse
  let isServing: Bool
  /// The registered versions.
  let versions = Mutex(FakeSuite.standardVersions)
  /// Fails, or waits, for what cannot be loaded.
  let load: @Sendable (_ model: String) async throws -> Void

  init(
    isServing: Bool = true,
    generate: @escaping Generate = { try await FakeSuite.sayHello($0, $1, $2) },
    encode: @escaping @Sendable (TokenizerV1.EncodeRequest) throws -> TokenizerV1.EncodeResponse = {
      FakeSuite.windows($0)
    },
    load: @escaping @Sendable (_ model: String) async throws -> Void = { _ in }
  ) {
    self.load = load
    self.isServing = isServing
    self.generate = generate
    self.encode = encode
  }

  func note(_ context: ServerContext, _ change: (inout Calls) -> Void) {
    note {
      $0.requestIDs.append(context.metadata.first("x-request-id"))
      $0.deadlines.append(context.deadline?.remaining)
      change(&$0)
    }
  }

  func note(_ change: (inout Calls) -> Void) {
    calls.withLock { change(&$0) }
    Events.post()
  }

  /// Three chunks and the end.
  @Sendable static func sayHello(
    _ request: InferenceV1.GenerateRequest,
    _ context: ServerContext,
    _ responses: ResponseWriter<InferenceV1.GenerateResponse>
  ) async throws {
    for text in ["Hel", "", "lo \"é\"\n"] { try await responses.write(.chunk(text)) }
    try await responses.write(.complete(prompt: request.promptIDs.count, completion: 3))
  }

  /// One token per character and a special one around, in windows of the asked size.
  @Sendable static func windows(
    _ request: TokenizerV1.EncodeRequest
  ) -> TokenizerV1.EncodeResponse {
    var response = TokenizerV1.EncodeResponse()
    let scalars = Array(request.text.unicodeScalars)
    let room = Int(request.windowTokens) - 2
    response.tokenCount = UInt32(scalars.count + 2)
    var start = 0
    repeat {
      let end = min(scalars.count, start + room)
      var window = TokenizerV1.Encoding()
      window.ids = [101] + scalars[start..<end].map(\.value) + [102]
      window.tokens = ["[CLS]"] + scalars[start..<end].map { String($0) } + ["[SEP]"]
      window.starts = [0] + (start..<end).map { UInt32($0) } + [0]
      window.ends = [0] + (start..<end).map { UInt32($0 + 1) } + [0]
      window.wordIDs = [-1] + (start..<end).map { Int32($0) } + [-1]
      window.special = [true] + (start..<end).map { _ in false } + [true]
      response.windows.append(window)
      if end == scalars.count { break }
      start = end - Int(request.strideTokens)
    } while request.overflow
    return response
  }
}

extension InferenceV1.GenerateResponse {
  static func chunk(_ text: String) -> Self {
    var chunk = InferenceV1.Chunk()
    chunk.text = text
    var response = Self()
    response.event = .chunk(chunk)
    return response
  }

  static func complete(
    prompt: Int,
    completion: Int,
    reason: InferenceV1.FinishReason = .stop
  ) -> Self {
    var complete = InferenceV1.Complete()
    complete.finishReason = reason
    complete.promptTokens = UInt32(prompt)
    complete.completionTokens = UInt32(completion)
    var response = Self()
    response.event = .complete(complete)
    return response
  }
}

private struct FakeTokenizer: TokenizerV1.TokenizerService {
  let suite: FakeSuite

  func encode(
    _ request: TokenizerV1.EncodeRequest,
    context: ServerContext
  ) async throws -> TokenizerV1.EncodeResponse {
    suite.note(context) { $0.encoded.append(request) }
    return try suite.encode(request)
  }

  func decode(
    _ request: TokenizerV1.DecodeRequest,
    context: ServerContext
  ) async throws -> TokenizerV1.DecodeResponse { throw RPCError(.unimplemented, "decode") }

  /// One token per byte of the contents.
  func renderChat(
    _ request: TokenizerV1.RenderChatRequest,
    context: ServerContext
  ) async throws -> TokenizerV1.RenderChatResponse {
    suite.note(context) { $0.rendered.append(request) }
    var response = TokenizerV1.RenderChatResponse()
    response.ids = request.messages.flatMap { $0.content.utf8.map { UInt32($0) } }
    return response
  }
}

struct FakeInference: InferenceV1.InferenceService {
  let suite: FakeSuite

  func generate(
    _ request: InferenceV1.GenerateRequest,
    context: ServerContext,
    responses: ResponseWriter<InferenceV1.GenerateResponse>
  ) async throws {
    suite.note(context) { $0.generated.append(request) }
    defer { if Task.isCancelled { suite.note { $0.cancelled += 1 } } }
    try await suite.generate(request, context, responses)
  }

  /// One entity per text: its first character.
  func classifyTokens(
    _ request: InferenceV1.ClassifyTokensRequest,
    context: ServerContext
  ) async throws -> InferenceV1.ClassifyTokensResponse {
    suite.note(context) { $0.classified.append(request) }
    var response = InferenceV1.ClassifyTokensResponse()
    response.texts = request.texts.map { text in
      var entity = InferenceV1.Entity()
      entity.label = request.aggregationStrategy == .none ? "B-PER" : "PER"
      entity.score = 0.5
      entity.word = String(text.text.prefix(1))
      entity.end = 1
      entity.index = 1
      var entities = InferenceV1.Entities()
      entities.entities = [entity]
      return entities
    }
    return response
  }
}

private struct FakeRegistry: RegistryV1.RegistryService {
  let suite: FakeSuite

  func importModel(
    _ request: RegistryV1.ImportModelRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion { throw RPCError(.unimplemented, "") }

  func resolveModel(
    _ request: RegistryV1.ResolveModelRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion { throw RPCError(.unimplemented, "") }

  func setAlias(
    _ request: RegistryV1.SetAliasRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion { throw RPCError(.unimplemented, "") }

  func listModels(
    _ request: RegistryV1.ListModelsRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ListModelsResponse {
    suite.note { $0.lists += 1 }
    var response = RegistryV1.ListModelsResponse()
    response.versions = suite.versions.withLock { $0 }
    return response
  }
}

extension FakeSuite {
  /// Two versions of a chat model, and an entity model.
  static var standardVersions: [RegistryV1.ModelVersion] {
    var chat = RegistryV1.ModelVersion()
    chat.name = "chat"
    chat.version = 1
    chat.digest = "0123456789abcdef"
    chat.task = "text-generation"
    chat.contextTokens = 100
    chat.createdAtMs = 1_700_000_000_123
    chat.aliases = ["production"]
    var newer = chat
    newer.version = 2
    newer.aliases = ["candidate"]
    var ner = chat
    ner.name = "ner"
    ner.task = "token-classification"
    ner.contextTokens = 12
    ner.aliases = []
    var intents = ner
    intents.name = "intents"
    intents.task = "text-classification"
    return [newer, ner, chat, intents]
  }
}

private struct FakeHealth: HealthV1.HealthService {
  let isServing: Bool

  func check(
    _ request: HealthV1.HealthCheckRequest,
    context: ServerContext
  ) async throws -> HealthV1.HealthCheckResponse {
    var response = HealthV1.HealthCheckResponse()
    response.status = isServing ? .serving : .notServing
    return response
  }

  func watch(
    _ request: HealthV1.HealthCheckRequest,
    context: ServerContext,
    responses: ResponseWriter<HealthV1.HealthCheckResponse>
  ) async throws {
    var response = HealthV1.HealthCheckResponse()
    response.status = isServing ? .serving : .notServing
    try await responses.write(response)
    try await Gate().wait()
  }
}

/// A gateway in front of a fake suite.
struct TestGateway: Sendable {
  let suite: FakeSuite
  let server: PublicServer
  let metrics: MetricsRegistry
  let health: HealthRegistry
  let client: any TestClientProtocol

  /// Runs `test` against a gateway on a port of the system's choice.
  static func run(
    _ suite: FakeSuite = FakeSuite(),
    services: [any RPCService] = [],
    isReachable: Bool = true,
    adjust: (inout GatewaySettings) -> Void = { _ in },
    _ test: @escaping @Sendable (TestGateway) async throws -> Void
  ) async throws {
    let group = MultiThreadedEventLoopGroup.singleton
    var router = RPC.Router()
    router.register(FakeTokenizer(suite: suite))
    router.register(FakeInference(suite: suite))
    router.register(FakeRegistry(suite: suite))
    router.register(FakeHealth(isServing: suite.isServing))
    for service in services { router.register(service) }
    let rpc = RPCServer(router: router, configuration: .init(), group: group)
    let port = try await rpc.start().port ?? 0
    if !isReachable { await rpc.shutdown(grace: .zero) }
    var settings = GatewaySettings()
    settings.tokenizer = ServiceAddress(host: "127.0.0.1", port: port)
    let own = Endpoint(host: "127.0.0.1", port: port)
    settings.inference = ReplicaSetConfiguration([.endpoint(own)])
    settings.registry = ServiceAddress(host: "127.0.0.1", port: port)
    settings.training = ServiceAddress(host: "127.0.0.1", port: port)
    // Not a measure of speed: the machine may be busy.
    settings.probeTimeout = .seconds(60)
    settings.onLoadChange = { Events.post() }
    settings.onReplicaChange = { Events.post() }
    adjust(&settings)
    let metrics = MetricsRegistry()
    let health = HealthRegistry()
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let server = PublicServer(
      settings: settings,
      metrics: metrics,
      health: health,
      group: group,
      logger: logger
    )
    server.probe.begin()
    health.markReady()
    let following = Task { await server.backends.inference.run() }
    let result = await Result {
      // A test of what a request makes of an answer is not one of how long a busy machine takes to connect.
      if isReachable, suite.isServing, settings.inference.sources == [.endpoint(own)] {
        _ = try await server.backends.inference.replicas.lease(waitingAtMost: .seconds(60))
      }
      try await server.application().test(.live) { client in
        try await test(
          TestGateway(
            suite: suite,
            server: server,
            metrics: metrics,
            health: health,
            client: client
          )
        )
      }
    }
    following.cancel()
    await server.backends.close()
    await following.value
    await rpc.shutdown(grace: .zero)
    try result.get()
  }
}

extension Result where Failure == any Error {
  fileprivate init(_ body: () async throws -> Success) async {
    do { self = .success(try await body()) } catch { self = .failure(error) }
  }
}

/// A gate that a fake waits at until a test opens it.
final class Gate: Sendable {
  private let stream: AsyncStream<Void>
  private let continuation: AsyncStream<Void>.Continuation

  init() { (stream, continuation) = AsyncStream.makeStream() }

  func open() { continuation.finish() }

  func wait() async throws {
    for await _ in stream {}
    try Task.checkCancellation()
  }
}

extension FakeRegistry {
  func registerVersion(
    _ requests: RequestStream<RegistryV1.RegisterVersionRequest>,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion { throw RPCError(.unimplemented, "") }

  func getModel(
    _ request: RegistryV1.GetModelRequest,
    context: ServerContext
  ) async throws -> RegistryV1.Model { throw RPCError(.unimplemented, "") }

  func promote(
    _ request: RegistryV1.PromoteRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion { throw RPCError(.unimplemented, "") }

  func rollback(
    _ request: RegistryV1.RollbackRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion { throw RPCError(.unimplemented, "") }

  func watchAliases(
    _ request: RegistryV1.WatchAliasesRequest,
    context: ServerContext,
    responses: ResponseWriter<RegistryV1.WatchAliasesResponse>
  ) async throws { throw RPCError(.unimplemented, "") }
}

extension FakeTokenizer {
  func loadModel(
    _ request: TokenizerV1.LoadModelRequest,
    context: ServerContext
  ) async throws -> TokenizerV1.LoadModelResponse {
    suite.note { $0.loads.append("tokenizer \(request.model)") }
    try await suite.load(request.model)
    return .init()
  }
}

extension FakeInference {
  func loadModel(
    _ request: InferenceV1.LoadModelRequest,
    context: ServerContext
  ) async throws -> InferenceV1.LoadModelResponse {
    suite.note { $0.loads.append("inference \(request.model)") }
    try await suite.load(request.model)
    return .init()
  }

  /// One label per text: how many tokens it has.
  func classifySequence(
    _ request: InferenceV1.ClassifySequenceRequest,
    context: ServerContext
  ) async throws -> InferenceV1.ClassifySequenceResponse {
    suite.note(context) { $0.scored.append(request) }
    var response = InferenceV1.ClassifySequenceResponse()
    response.texts = request.texts.map { text in
      var label = InferenceV1.LabelScore()
      label.label = "\(text.ids.count)"
      label.score = 0.5
      var scores = InferenceV1.LabelScores()
      scores.labels = [label]
      return scores
    }
    return response
  }
}
