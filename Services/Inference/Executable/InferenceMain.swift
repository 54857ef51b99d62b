import InferenceHandlers
import ModelAccess
import RPC
import ServiceAPI
import ServiceKit
import Tensors

/// `llmos-inference`: runs models on token ids.
@main
enum InferenceMain {
  static let registry = ServiceOption(
    "registry.address",
    default: ServiceAddress(host: "127.0.0.1", port: 7104),
    help: "Where the data-management service is."
  )
  static let threads = ServiceOption(
    "compute.threads",
    default: 0,
    in: 0...ThreadPool.threadCountMax,
    unit: "threads",
    help: "Threads that compute; 0: as many as the process may use, divided by compute.replicas."
  )
  static let replicas = ServiceOption(
    "compute.replicas",
    default: 1,
    in: 1...ThreadPool.threadCountMax,
    unit: "processes",
    help: "Inference processes that share these processors."
  )

  /// Threads that load models.
  private static let loadingThreads = 2
  /// Threads that wait for classifications.
  private static let classifyingThreads = 4
  /// Classifications that are computed or wait; each holds a message.
  private static let classificationsMax = 64

  static func main() async {
    await ServiceProcess(
      name: "llmos-inference",
      summary: "Runs models on token ids.",
      rpcPort: 7102,
      adminPort: 8102,
      options: [registry, threads, replicas],
      build: build
    ).runAndExit()
  }

  private static func build(_ context: ServiceContext) async throws -> ServiceParts {
    let address = context.configuration[registry]
    let channel = RPCChannel(to: address, group: context.eventLoopGroup)
    let loading = WorkPool(threadCount: loadingThreads, requestsMax: ServedModel.modelsMax)
    let classifying = WorkPool(
      threadCount: classifyingThreads,
      requestsMax: classificationsMax
    )
    context.metrics.gauge(
      "llmos_classifications_in_progress",
      help: "Requests for entities and text labels that are computed or wait."
    ) { Double(classifying.requestsAdmitted) }
    let threads = threadPool(context.configuration)
    let registry = RegistryV1.RegistryClient(channel)
    let report = ModelSwapReport(metrics: context.metrics, logger: context.logger)
    let models = ServedModel.models(
      registry: registry,
      loading: loading,
      threads: threads,
      metrics: EngineMetrics(context.metrics),
      onEvent: { report($0) }
    )
    return ServiceParts(
      rpc: [InferenceHandlers(models: models, classifying: classifying)],
      background: [AliasWatch(registry: registry) { await models.follow($0) }],
      shutdownHooks: [
        { await channel.close() },
        { for model in await models.close() { await model.shutdown() } },
        { await loading.shutdown() },
        { await classifying.shutdown() },
      ]
    )
  }

  private static func threadPool(_ configuration: Configuration) -> ThreadPool {
    let asked = configuration[threads]
    let count = asked == 0 ? max(1, Processors.available() / configuration[replicas]) : asked
    // Pools that each leave some processors to others would be pinned to the same ones.
    return ThreadPool(threadCount: count, isPinned: count >= Processors.allowed().count)
  }
}
