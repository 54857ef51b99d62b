import ModelAccess
import NIOPosix
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
    let channel = RPCChannel(
      host: address.host,
      port: address.port,
      group: context.eventLoopGroup
    )
    let threads = NIOThreadPool(numberOfThreads: context.configuration[threads])
    threads.start()
    let models = TokenizerLoading.models(
      registry: RegistryV1.RegistryClient(channel),
      threads: threads
    )
    return ServiceParts(
      rpc: [TokenizerHandlers(models: models, threads: threads)],
      shutdownHooks: [
        { await channel.close() },
        { try? await threads.shutdownGracefully() },
      ]
    )
  }
}
