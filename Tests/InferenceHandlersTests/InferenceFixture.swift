import Foundation
import InferenceHandlers
import ModelAccess
import NIOCore
import NIOPosix
import RPC
import ServiceAPI
import ServiceKit
import Tensors

/// The inference service with the demo models, on a loopback socket.
struct InferenceFixture: Sendable {
  /// A model that the registry knows.
  struct Model: Sendable {
    var name: String
    var task: String
    /// Its folder.
    var path: String
  }

  let client: InferenceV1.InferenceClient
  let metrics: MetricsRegistry

  /// The folder of a demo model.
  static func demoModel(_ name: String) -> String {
    URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "deploy/models/\(name)").path
  }

  private static let demoModels = [
    Model(name: "support-chat", task: "text-generation", path: demoModel("support-chat")),
    Model(name: "ner-wikiann", task: "token-classification", path: demoModel("ner-wikiann")),
  ]

  /// Serves the demo models and others for as long as `body` runs.
  static func run(
    models others: [Model] = [],
    _ body: @Sendable (InferenceFixture) async throws -> Void
  ) async throws {
    let group = MultiThreadedEventLoopGroup.singleton
    let loading = WorkPool(threadCount: 1, requestsMax: 4)
    let classifying = WorkPool(threadCount: 1, requestsMax: 4)
    var registryRouter = Router()
    registryRouter.register(TestRegistry(models: demoModels + others))
    let registry = RPCServer(router: registryRouter, configuration: .init(), group: group)
    let registryChannel = RPCChannel(
      host: "127.0.0.1",
      port: try await registry.start().port ?? 0,
      group: group
    )
    let metrics = MetricsRegistry()
    let models = ServedModel.models(
      registry: .init(registryChannel),
      loading: loading,
      threads: ThreadPool(threadCount: 1),
      metrics: EngineMetrics(metrics)
    )
    var router = Router()
    router.register(InferenceHandlers(models: models, classifying: classifying))
    let server = RPCServer(router: router, configuration: .init(), group: group)
    let channel = RPCChannel(
      host: "127.0.0.1",
      port: try await server.start().port ?? 0,
      group: group
    )
    let outcome: Result<Void, any Error>
    do {
      outcome = .success(try await body(InferenceFixture(client: .init(channel), metrics: metrics)))
    } catch {
      outcome = .failure(error)
    }
    await channel.close()
    await server.shutdown(grace: .zero)
    for model in await models.close() { await model.shutdown() }
    await registryChannel.close()
    await registry.shutdown(grace: .zero)
    await loading.shutdown()
    await classifying.shutdown()
    try outcome.get()
  }

  /// What the service says of a generation that it refuses.
  func refusal(
    _ change: (inout InferenceV1.GenerateRequest) -> Void
  ) async -> RPCError? {
    var request = InferenceV1.GenerateRequest()
    request.model = "support-chat"
    request.promptIDs = [1, 2, 3]
    request.maxTokens = 1
    change(&request)
    do throws(RPCError) {
      for try await _ in try await client.generate(request) {}
      return nil
    } catch {
      return error
    }
  }

  /// What the service says of a classification that it refuses.
  func refusal(
    _ change: (inout InferenceV1.ClassifyTokensRequest) -> Void
  ) async -> RPCError? {
    var window = InferenceV1.TokenWindow()
    window.ids = [1]
    window.tokens = ["a"]
    window.starts = [0]
    window.ends = [1]
    window.special = [false]
    var text = InferenceV1.TokenizedText()
    text.text = "a"
    text.windows = [window]
    var request = InferenceV1.ClassifyTokensRequest()
    request.model = "ner-wikiann"
    request.texts = [text]
    request.aggregationStrategy = .simple
    change(&request)
    do throws(RPCError) {
      _ = try await client.classifyTokens(request)
      return nil
    } catch {
      return error
    }
  }
}

/// Knows some models.
private struct TestRegistry: RegistryV1.RegistryService {
  let models: [InferenceFixture.Model]

  func resolveModel(
    _ request: RegistryV1.ResolveModelRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion {
    guard let model = models.first(where: { $0.name == request.model }) else {
      throw RPCError(.notFound, "no such model")
    }
    var version = RegistryV1.ModelVersion()
    version.name = model.name
    version.version = 1
    version.task = model.task
    version.path = model.path
    return version
  }

  func importModel(
    _ request: RegistryV1.ImportModelRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion { throw RPCError(.unimplemented, "") }

  func setAlias(
    _ request: RegistryV1.SetAliasRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion { throw RPCError(.unimplemented, "") }

  func listModels(
    _ request: RegistryV1.ListModelsRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ListModelsResponse { throw RPCError(.unimplemented, "") }
}

extension TestRegistry {
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
  ) async throws { throw RPCError(.unimplemented, "not in this test") }
}
