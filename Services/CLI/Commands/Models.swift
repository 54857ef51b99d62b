import ArgumentParser
import ServiceAPI

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// `llmos models`: the registry.
struct Models: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Lists, imports and describes models, and moves their aliases.",
    subcommands: [
      List.self, Show.self, Import.self, Promote.self, Rollback.self, Alias.self,
    ],
    defaultSubcommand: List.self
  )
}

extension Models {
  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Lists all versions of all models.")

    @OptionGroup var registry: DataServiceOptions

    func run() async throws {
      let versions = try await registry.callRegistry { try await $0.listModels(.init()).versions }
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

  struct Import: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Copies a model folder (Hugging Face layout) into the registry."
    )

    @OptionGroup var registry: DataServiceOptions
    @Option(help: "The model's name (default: the folder's).")
    var name: String?
    @Argument(help: "The folder: config.json, model.safetensors, tokenizer.json, …")
    var folder: String

    func run() async throws {
      var request = RegistryV1.ImportModelRequest()
      request.path = URL(filePath: folder).standardizedFileURL.path
      request.name = name ?? ""
      let version = try await registry.callRegistry { [request] in try await $0.importModel(request)
      }
      Output.line("registered \(version.name)@\(version.version)")
    }
  }

  struct Promote: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Makes a version the one that requests for the bare name get.",
      discussion: "Running inference replicas load it and swap without a failed request."
    )

    @OptionGroup var registry: DataServiceOptions
    @Option(help: "The alias to move.") var alias = "production"
    @Argument(help: "A name (its newest version), name@version or name@alias.") var model: String

    func run() async throws {
      var request = RegistryV1.PromoteRequest()
      request.model = model
      request.alias = alias
      let version = try await registry.callRegistry { [request] in try await $0.promote(request) }
      Output.line("\(version.name)@\(alias) is version \(version.version)")
    }
  }

  struct Rollback: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Takes the last promotion back: the version before serves again."
    )

    @OptionGroup var registry: DataServiceOptions
    @Option(help: "The alias to move.") var alias = "production"
    @Argument(help: "The model's name.") var name: String

    func run() async throws {
      var request = RegistryV1.RollbackRequest()
      request.name = name
      request.alias = alias
      let version = try await registry.callRegistry { [request] in try await $0.rollback(request) }
      Output.line("\(version.name)@\(alias) is version \(version.version)")
    }
  }

  struct Alias: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Points an alias at a version; requests for the bare name follow \"production\"."
    )

    @OptionGroup var registry: DataServiceOptions
    @Argument(help: "The model's name.") var name: String
    @Argument(help: "The alias, e.g. production.") var alias: String
    @Argument(help: "The version; 0 removes the alias.") var version: UInt32

    func run() async throws {
      var request = RegistryV1.SetAliasRequest()
      request.name = name
      request.alias = alias
      request.version = version
      _ = try await registry.callRegistry { [request] in try await $0.setAlias(request) }
      Output.line(
        version == 0 ? "removed \(name)@\(alias)" : "\(name)@\(alias) is version \(version)"
      )
    }
  }
}

extension RegistryV1.ModelVersion {
  /// The files' size together: "11.2 MB".
  var sizeText: String {
    let tenths = files.reduce(0) { $0 + $1.sizeBytes } / 100_000
    return "\(tenths / 10).\(tenths % 10) MB"
  }
}
