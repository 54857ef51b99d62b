import Foundation
package import Logging
package import Registry
package import ServiceKit

/// The data-management service, from its options to its handlers.
package enum DataManagement {
  /// The process `llmos-data`.
  package static var process: ServiceProcess {
    ServiceProcess(
      name: "llmos-data",
      summary: "keeps the models: versions, aliases, files",
      rpcPort: 7104,
      adminPort: 8104,
      options: DataOptions.all,
      build: build
    )
  }

  private static func build(_ context: ServiceContext) async throws -> ServiceParts {
    let configuration = context.configuration
    let models = configuration[DataOptions.demoModels].map(DataOptions.absolute)
    if let models, !FileManager.default.isReadableFile(atPath: models) {
      throw configuration.error(DataOptions.demoModels, "is not a folder that can be read")
    }
    let registry = try await openRegistry(
      in: DataOptions.absolute(configuration[DataOptions.directory]),
      metrics: context.metrics,
      logger: context.logger
    )
    if let models { try await importModels(in: models, into: registry, logger: context.logger) }
    let logger = context.logger
    return ServiceParts(
      rpc: [RegistryHandlers(registry: registry)],
      shutdownHooks: [{ await close(registry, logger: logger) }]
    )
  }

  private static func close(_ registry: ModelRegistry, logger: Logger) async {
    do {
      try await registry.close()
    } catch {
      logger.warning("the registry did not close", metadata: ["error": "\(error)"])
    }
  }

  /// Opens the store and shows its figures.
  package static func openRegistry(
    in directory: String,
    metrics: MetricsRegistry,
    logger: Logger
  ) async throws(RegistryError) -> ModelRegistry {
    let registry = try await ModelRegistry.open(directory: directory, inspector: .standard)
    let (counters, swept) = (registry.counters, registry.swept)
    if !swept.isEmpty {
      logger.warning(
        "removed what an interrupted import left",
        metadata: [
          "imports": "\(swept.stagedImports)", "folders": "\(swept.versionFolders)",
          "blobs": "\(swept.blobs)",
        ]
      )
    }
    logger.info(
      "opened the registry",
      metadata: [
        "folder": "\(registry.directory)", "models": "\(counters.models)",
        "versions": "\(counters.versions)",
      ]
    )
    metrics.gauge("llmos_registry_models", help: "Models registered.") {
      Double(registry.counters.models)
    }
    metrics.gauge("llmos_registry_versions", help: "Versions of all models.") {
      Double(registry.counters.versions)
    }
    metrics.counter(
      "llmos_registry_imports_total",
      help: "Imports since the start, by how they ended.",
      labels: ["result"]
    ) {
      let counters = registry.counters
      return [
        (["added"], Double(counters.importsAdded)),
        (["unchanged"], Double(counters.importsUnchanged)),
        (["failed"], Double(counters.importsFailed)),
      ]
    }
    return registry
  }

  /// Imports the model folders inside a folder that are not registered yet; logs one line for each.
  ///
  /// A folder that is refused is logged and passed over. Throws if the folder itself cannot be listed.
  package static func importModels(
    in folder: String,
    into registry: ModelRegistry,
    logger: Logger
  ) async throws(RegistryError) {
    try await registry.importFolders(in: folder) { folder in
      switch folder.result {
      case .imported(let version):
        let bytes = version.files.map(\.sizeBytes).reduce(0, +)
        logger.info(
          "imported a model",
          metadata: [
            "model": "\(version.name)@\(version.version)", "task": "\(version.description.task)",
            "bytes": "\(bytes)",
          ]
        )
      case .present:
        logger.info("model is registered already", metadata: ["model": "\(folder.name)"])
      case .refused(let error):
        logger.error(
          "model not imported",
          metadata: ["model": "\(folder.name)", "error": "\(error.message)"]
        )
      }
    }
  }
}
