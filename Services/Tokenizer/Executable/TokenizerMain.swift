import ModelAccess
import RPC
import ServiceAPI
import ServiceKit
import TokenizerHandlers

/// `llmos-tokenizer`: text to token ids and back, and chat messages to prompts.
@main
enum TokenizerMain {
  static let registry = ServiceOption(
    "registry.address",
    default: ServiceAddress(host: "127.0.0.1", port: 7104),
    help: "Where the data-management service is."
  )
  static let threads = ServiceOption(
    "tokenizer.threads",
    default: 2,
    in: 1...64,
    unit: "threads",
    help: "Threads that encode and decode."
  )

  /// Requests that are worked on or wait for a thread; each holds a message.
  private static let requestsMax = 128

  static func main() async {
    await ServiceProcess(
      name: "llmos-tokenizer",
      summary: "Text to token ids and back, and chat messages to prompts.",
      rpcPort: 7101,
      adminPort: 8101,
      options: [registry, threads],
      build: build
    ).runAndExit()
  }

  private static func build(_ context: ServiceContext) async throws -> ServiceParts {
    let address = context.configuration[registry]
    let channel = RPCChannel(to: address, group: context.eventLoopGroup)
    let pool = WorkPool(threadCount: context.configuration[threads], requestsMax: requestsMax)
    let registry = RegistryV1.RegistryClient(channel)
    let report = ModelSwapReport(metrics: context.metrics, logger: context.logger)
    let models = TokenizerLoading.models(registry: registry, pool: pool, onEvent: { report($0) })
    return ServiceParts(
      rpc: [TokenizerHandlers(models: models, pool: pool)],
      background: [AliasWatch(registry: registry) { await models.follow($0) }],
      shutdownHooks: [
        { await channel.close() },
        { await pool.shutdown() },
      ]
    )
  }
}
