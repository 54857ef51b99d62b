import ArgumentParser
import NIOPosix
import RPC
import ServiceAPI
import Supervision

/// Where the data-management service is.
struct DataServiceOptions: ParsableArguments {
  @OptionGroup var suite: SuiteOptions

  @Option(
    help: ArgumentHelp(
      "The data-management service's address (default: the running suite's).",
      valueName: "host:port"
    )
  )
  var registry: String?

  /// Calls the registry and closes the connection again.
  func callRegistry<Result: Sendable>(
    _ body: (RegistryV1.RegistryClient) async throws -> Result
  ) async throws -> Result {
    try await call { try await body(RegistryV1.RegistryClient($0)) }
  }

  /// Calls the datasets and closes the connection again.
  func callDatasets<Result: Sendable>(
    _ body: (DatasetsV1.DatasetsClient) async throws -> Result
  ) async throws -> Result {
    try await call { try await body(DatasetsV1.DatasetsClient($0)) }
  }

  private func call<Result: Sendable>(
    _ body: (RPCChannel) async throws -> Result
  ) async throws -> Result {
    let (host, port) = try address()
    let channel = RPCChannel(
      host: host,
      port: port,
      group: MultiThreadedEventLoopGroup.singleton
    )
    do {
      let result = try await body(channel)
      await channel.close()
      return result
    } catch {
      await channel.close()
      guard let error = error as? RPCError else { throw error }
      throw GatewayClient.Failure(description: error.message)
    }
  }

  private func address() throws -> (String, Int) {
    guard let registry else {
      return ("127.0.0.1", try suite.running()[ServiceInstance(.data)]?.ports?.rpc ?? 0)
    }
    guard let colon = registry.lastIndex(of: ":"), colon != registry.startIndex,
      let port = UInt16(registry[registry.index(after: colon)...])
    else { throw ValidationError("--registry \(registry) is not host:port") }
    return (String(registry[..<colon]), Int(port))
  }
}
