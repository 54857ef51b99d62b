package import Datasets
import Foundation
package import Logging
package import Registry
package import ServiceKit
package import Store

/// The data-management service, from its options to its handlers.
package enum DataManagement {
  /// The process `llmos-data`.
  package static var process: ServiceProcess {
    ServiceProcess(
      name: "llmos-data",
      summary: "keeps the models and datasets: versions, aliases, files",
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
    let opened = try await open(
      in: DataOptions.absolute(configuration[DataOptions.directory]),
      metrics: context.metrics,
      logger: context.logger
    )
    let (registry, logger) = (opened.registry, context.logger)
    if let models { try await importModels(in: models, into: registry, logger: logger) }
    return ServiceParts(
      rpc: [
        RegistryHandlers(registry: registry, health: context.health),
        DatasetsHandlers(datasets: opened.datasets),
      ],
      shutdownHooks: [{ await close(registry, logger: logger) }]
    )
  }

  private static func close(_ registry: ModelRegistry, logger: Logger) async {
    do {
      try await registry.close()
    } catch {
      logger.warning("the store did not close", metadata: ["error": "\(error)"])
    }
  }

  /// Opens the store and shows its figures.
  package static func open(
    in directory: String,
    metrics: MetricsRegistry,
    logger: Logger
  ) async throws(DataError) -> (registry: ModelRegistry, datasets: DatasetStore) {
    let store = try await DataStore.open(
      directory: directory,
      schemas: [ModelRegistry.schema, DatasetStore.schema]
    )
    let registry = try await ModelRegistry.open(store: store, inspector: .standard)
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
    let datasets = DatasetStore(store: store)
    let datasetVersions = try await datasets.list().count
    logger.info(
      "opened the store",
      metadata: [
        "folder": "\(registry.directory)", "models": "\(counters.models)",
        "versions": "\(counters.versions)", "dataset_versions": "\(datasetVersions)",
      ]
    )
    show(registry, in: metrics)
    show(datasets, in: metrics)
    StorageMetrics.register(folder: registry.directory, in: metrics)
    return (registry, datasets)
  }

  private static func show(_ registry: ModelRegistry, in metrics: MetricsRegistry) {
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
  }

  private static func show(_ datasets: DatasetStore, in metrics: MetricsRegistry) {
    metrics.counter(
      "llmos_dataset_imports_total",
      help: "Imports of datasets since the start, by how they ended.",
      labels: ["result"]
    ) {
      let counters = datasets.counters
      return [
        (["added"], Double(counters.importsAdded)),
        (["unchanged"], Double(counters.importsUnchanged)),
        (["failed"], Double(counters.importsFailed)),
      ]
    }
    metrics.counter(
      "llmos_dataset_rows_read_total",
      help: "Rows of datasets sent to readers since the start."
    ) {
      Double(datasets.counters.rowsRead)
    }
  }

  /// Imports the model folders inside a folder that are not registered yet; logs one line for each.
  ///
  /// A folder that is refused is logged and passed over. Throws if the folder itself cannot be listed.
  package static func importModels(
    in folder: String,
    into registry: ModelRegistry,
    logger: Logger
  ) async throws(DataError) {
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
