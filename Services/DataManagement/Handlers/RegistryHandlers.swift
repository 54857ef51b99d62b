package import RPC
package import Registry
package import ServiceAPI
package import ServiceKit
import Store

/// The registry service: decodes, calls the registry, encodes.
///
/// The registry does its file work on threads of its own, so no handler blocks. A call that is cancelled, or
/// whose deadline passes, ends its import or leaves nothing behind.
package struct RegistryHandlers: RegistryV1.RegistryService {
  let registry: ModelRegistry
  let health: HealthRegistry?

  /// Handlers of one registry.
  ///
  /// - Parameters:
  ///   - registry: the registry.
  ///   - health: says when the server drains, which ends watches.
  package init(registry: ModelRegistry, health: HealthRegistry? = nil) {
    self.registry = registry
    self.health = health
  }

  /// Copies a model folder into the store and registers it as the next version of its name.
  package func importModel(
    _ request: RegistryV1.ImportModelRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion {
    try await answer { () throws(DataError) in
      let outcome = try await registry.importModel(folder: request.path, name: request.name)
      return RegistryV1.ModelVersion(outcome.version)
    }
  }

  /// Lists all versions of all models.
  package func listModels(
    _ request: RegistryV1.ListModelsRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ListModelsResponse {
    try await answer { () throws(DataError) in
      var response = RegistryV1.ListModelsResponse()
      response.versions = try await registry.listModels().map { version in
        var message = RegistryV1.ModelVersion(version)
        message.lineage = nil
        return message
      }
      return response
    }
  }

  /// Says what a name, a version or an alias means.
  package func resolveModel(
    _ request: RegistryV1.ResolveModelRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion {
    try await answer { () throws(DataError) in
      RegistryV1.ModelVersion(try await registry.resolve(request.model))
    }
  }

  /// Points an alias at a version, or removes it.
  package func setAlias(
    _ request: RegistryV1.SetAliasRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion {
    try await answer { () throws(DataError) in
      let version = request.version == 0 ? nil : request.version
      return RegistryV1.ModelVersion(
        try await registry.setAlias(request.alias, of: request.name, to: version)
      )
    }
  }

  /// Runs the body and maps its error.
  func answer<Response>(
    _ body: () async throws(DataError) -> Response
  ) async throws(RPCError) -> Response {
    do {
      return try await body()
    } catch {
      throw RPCError(error)
    }
  }
}

extension RegistryV1.ModelVersion {
  /// The message of a registered version.
  init(_ version: ModelVersion) {
    self.init()
    name = version.name
    self.version = version.version
    digest = version.digest
    task = version.description.task
    architecture = version.description.architecture
    files = version.files.map(RegistryV1.ModelFile.init)
    path = version.path
    aliases = version.aliases
    createdAtMs = version.createdAtMilliseconds
    contextTokens = UInt32(clamping: version.description.contextTokens)
    metrics = version.metrics.map(RegistryV1.Metric.init)
    lineage = version.lineage.map(RegistryV1.Lineage.init)
  }
}

extension RegistryV1.ModelFile {
  /// The message of a version's file.
  init(_ file: StoredFile) {
    self.init()
    name = file.name
    sizeBytes = UInt64(clamping: file.sizeBytes)
    sha256 = file.sha256
  }
}
