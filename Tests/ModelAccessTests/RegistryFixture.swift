import NIOCore
import NIOPosix
import RPC
import ServiceAPI
import Synchronization

/// A registry on a loopback socket whose models a test sets.
final class RegistryFixture: RegistryV1.RegistryService {
  private struct State {
    var models: [String: RegistryV1.ModelVersion] = [:]
    var calls = 0
    var aliases: [String: RegistryV1.AliasTarget] = [:]
    var watchers: [Int: AsyncStream<[RegistryV1.AliasTarget]>.Continuation] = [:]
    var watches = 0
  }

  private let state = Mutex(State())
  private let gate = Gate(isOpen: true)

  /// What a name means.
  func set(_ name: String, version: UInt32) {
    var model = RegistryV1.ModelVersion()
    model.name = String(name.prefix { $0 != "@" })
    model.version = version
    state.withLock { $0.models[name] = model }
  }

  /// Lets resolutions wait until `release`.
  func hold() async { await gate.close() }

  /// Answers the resolutions that wait, and those that come.
  func release() async { await gate.open() }

  /// Resolutions so far.
  var calls: Int { state.withLock { $0.calls } }

  func resolveModel(
    _ request: RegistryV1.ResolveModelRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion {
    let found = state.withLock { state in
      state.calls += 1
      return state.models[request.model]
    }
    await gate.wait()
    guard let found else { throw RPCError(.notFound, "no model \(request.model)") }
    return found
  }

  func importModel(
    _ request: RegistryV1.ImportModelRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion { throw RPCError(.unimplemented, "not in this test") }

  func listModels(
    _ request: RegistryV1.ListModelsRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ListModelsResponse {
    throw RPCError(.unimplemented, "not in this test")
  }

  func setAlias(
    _ request: RegistryV1.SetAliasRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion { throw RPCError(.unimplemented, "not in this test") }

  /// Serves for as long as `body` runs; `stop` ends the serving earlier.
  func serving(
    _ body: (_ client: RegistryV1.RegistryClient, _ stop: @Sendable () async -> Void) async throws
      -> Void
  ) async throws {
    let group = MultiThreadedEventLoopGroup.singleton
    var router = Router()
    router.register(self)
    let server = RPCServer(
      router: router,
      configuration: ServerConfiguration(host: "127.0.0.1", port: 0),
      group: group
    )
    let port = try await server.start().port ?? 0
    let channel = RPCChannel(host: "127.0.0.1", port: port, group: group)
    do {
      try await body(RegistryV1.RegistryClient(channel)) { await server.shutdown(grace: .zero) }
    } catch {
      await channel.close()
      await server.shutdown(grace: .zero)
      throw error
    }
    await channel.close()
    await server.shutdown(grace: .zero)
  }
}

/// Lets tasks through, or keeps them waiting.
actor Gate {
  private var isOpen: Bool
  private var waiting: [CheckedContinuation<Void, Never>] = []

  init(isOpen: Bool = false) { self.isOpen = isOpen }

  func close() { isOpen = false }

  func open() {
    isOpen = true
    for continuation in waiting { continuation.resume() }
    waiting = []
  }

  func wait() async {
    guard !isOpen else { return }
    await withCheckedContinuation { waiting.append($0) }
  }
}

extension RegistryFixture {
  func registerVersion(
    _ requests: RequestStream<RegistryV1.RegisterVersionRequest>,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion { throw RPCError(.unimplemented, "not in this test") }

  func getModel(
    _ request: RegistryV1.GetModelRequest,
    context: ServerContext
  ) async throws -> RegistryV1.Model { throw RPCError(.unimplemented, "not in this test") }

  func promote(
    _ request: RegistryV1.PromoteRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion { throw RPCError(.unimplemented, "not in this test") }

  func rollback(
    _ request: RegistryV1.RollbackRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion { throw RPCError(.unimplemented, "not in this test") }

  func watchAliases(
    _ request: RegistryV1.WatchAliasesRequest,
    context: ServerContext,
    responses: ResponseWriter<RegistryV1.WatchAliasesResponse>
  ) async throws {
    let (stream, continuation) = AsyncStream<[RegistryV1.AliasTarget]>.makeStream()
    state.withLock { state in
      state.watches += 1
      state.watchers[state.watches] = continuation
      continuation.yield(Array(state.aliases.values))
    }
    for await aliases in stream {
      var response = RegistryV1.WatchAliasesResponse()
      response.aliases = aliases
      try await responses.write(response)
    }
  }
}

extension RegistryFixture {
  /// Points `name@alias` at a version (and the bare name, for "production") and tells those who watch.
  func move(_ name: String, _ alias: String = "production", to version: UInt32) {
    set("\(name)@\(alias)", version: version)
    if alias == "production" { set(name, version: version) }
    set("\(name)@\(version)", version: version)
    var target = RegistryV1.AliasTarget()
    target.name = name
    target.alias = alias
    target.version = version
    state.withLock { state in
      state.aliases["\(name)@\(alias)"] = target
      for watcher in state.watchers.values { watcher.yield([target]) }
    }
  }

  /// Moves an alias without telling anybody.
  func moveSilently(_ name: String, to version: UInt32) {
    let watchers = state.withLock { state in
      defer { state.watchers = [:] }
      return state.watchers
    }
    move(name, to: version)
    state.withLock { $0.watchers = watchers }
  }

  /// Ends all watches.
  func disconnect() {
    let watchers = state.withLock { state in
      defer { state.watchers = [:] }
      return state.watchers
    }
    for watcher in watchers.values { watcher.finish() }
  }

  /// Watches so far.
  var watches: Int { state.withLock { $0.watches } }
}

/// Waits until `condition` holds; a bound for a hang, not a measure of speed.
func eventually(
  _ what: String,
  _ condition: () async throws -> Bool
) async throws {
  let end = ContinuousClock.now + .seconds(30)
  while try await !condition() {
    guard ContinuousClock.now < end else { throw RPCError(.deadlineExceeded, what) }
    await Task.yield()
  }
}
