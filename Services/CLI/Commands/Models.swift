import ArgumentParser
import NIOPosix
import RPC
import ServiceAPI
import Supervision

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// `llmos models`: the registry.
struct Models: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Lists, imports and describes models, and moves their aliases.",
    subcommands: [List.self, Show.self, Import.self, Alias.self],
    defaultSubcommand: List.self
  )
}

/// Where the registry is.
struct RegistryOptions: ParsableArguments {
  @OptionGroup var suite: SuiteOptions

  @Option(
    help: ArgumentHelp(
      "The data-management service's address (default: the running suite's).",
      valueName: "host:port"
    )
  )
  var registry: String?

  /// Calls the registry and closes the connection again.
  func call<Result: Sendable>(
    _ body: (RegistryV1.RegistryClient) async throws -> Result
  ) async throws -> Result {
    let (host, port) = try address()
    let channel = RPCChannel(
      host: host,
      port: port,
      group: MultiThreadedEventLoopGroup.singleton
    )
    do {
      let result = try await body(RegistryV1.RegistryClient(channel))
      await channel.close()
      return result
    } catch let error as RPCError {
      await channel.close()
      throw GatewayClient.Failure(description: error.message)
    }
  }

  private func address() throws -> (String, Int) {
    guard let registry else { return ("127.0.0.1", try suite.running().ports["data"]?.rpc ?? 0) }
    guard let colon = registry.lastIndex(of: ":"), colon != registry.startIndex,
      let port = UInt16(registry[registry.index(after: colon)...])
    else { throw ValidationError("--registry \(registry) is not host:port") }
    return (String(registry[..<colon]), Int(port))
  }
}

extension Models {
  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Lists all versions of all models.")

    @OptionGroup var registry: RegistryOptions

    func run() async throws {
      let versions = try await registry.call { try await $0.listModels(.init()).versions }
      Output.table(
        [["MODEL", "TASK", "ARCHITECTURE", "SIZE", "ALIASES"]]
          + versions.map {
            [
              "\($0.name)@\($0.version)", $0.task, $0.architecture, $0.sizeText,
              $0.aliases.joined(separator: " "),
            ]
          }
      )
    }
  }

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Describes one version of a model.")

    @OptionGroup var registry: RegistryOptions
    @Argument(help: "A name, name@version or name@alias.")
    var model: String

    func run() async throws {
      var request = RegistryV1.ResolveModelRequest()
      request.model = model
      let version = try await registry.call { [request] in try await $0.resolveModel(request) }
      Output.table([
        ["model", "\(version.name)@\(version.version)"], ["task", version.task],
        ["architecture", version.architecture], ["context", "\(version.contextTokens) tokens"],
        ["size", version.sizeText], ["digest", version.digest],
        ["aliases", version.aliases.joined(separator: " ")], ["path", version.path],
      ])
      Output.line("")
      Output.table(
        [["FILE", "BYTES", "SHA-256"]]
          + version.files.map { [$0.name, String($0.sizeBytes), $0.sha256] }
      )
    }
  }

  struct Import: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Copies a model folder (Hugging Face layout) into the registry."
    )

    @OptionGroup var registry: RegistryOptions
    @Option(help: "The model's name (default: the folder's).")
    var name: String?
    @Argument(help: "The folder: config.json, model.safetensors, tokenizer.json, …")
    var folder: String

    func run() async throws {
      var request = RegistryV1.ImportModelRequest()
      request.path = URL(filePath: folder).standardizedFileURL.path
      request.name = name ?? ""
      let version = try await registry.call { [request] in try await $0.importModel(request) }
      Output.line("registered \(version.name)@\(version.version)")
    }
  }

  struct Alias: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Points an alias at a version; requests for the bare name follow \"production\"."
    )

    @OptionGroup var registry: RegistryOptions
    @Argument(help: "The model's name.") var name: String
    @Argument(help: "The alias, e.g. production.") var alias: String
    @Argument(help: "The version; 0 removes the alias.") var version: UInt32

    func run() async throws {
      var request = RegistryV1.SetAliasRequest()
      request.name = name
      request.alias = alias
      request.version = version
      _ = try await registry.call { [request] in try await $0.setAlias(request) }
      Output.line(
        version == 0 ? "removed \(name)@\(alias)" : "\(name)@\(alias) is version \(version)"
      )
    }
  }
}

extension RegistryV1.ModelVersion {
  /// The files' size together: "11.2 MB".
  fileprivate var sizeText: String {
    let tenths = files.reduce(0) { $0 + $1.sizeBytes } / 100_000
    return "\(tenths / 10).\(tenths % 10) MB"
  }
}
