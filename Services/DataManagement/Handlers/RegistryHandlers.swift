package import RPC
package import Registry
package import ServiceAPI

/// The registry service: decodes, calls the registry, encodes.
///
/// The registry does its file work on threads of its own, so no handler blocks. A call that is cancelled, or
/// whose deadline passes, ends its import or leaves nothing behind.
package struct RegistryHandlers: RegistryV1.RegistryService {
  private let registry: ModelRegistry

  /// Handlers of one registry.
  package init(registry: ModelRegistry) {
    self.registry = registry
  }

  /// Copies a model folder into the store and registers it as the next version of its name.
  package func importModel(
    _ request: RegistryV1.ImportModelRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion {
    try await answer { () throws(RegistryError) in
      let outcome = try await registry.importModel(folder: request.path, name: request.name)
      return RegistryV1.ModelVersion(outcome.version)
    }
  }

  /// Lists all versions of all models.
  package func listModels(
    _ request: RegistryV1.ListModelsRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ListModelsResponse {
    try await answer { () throws(RegistryError) in
      var response = RegistryV1.ListModelsResponse()
      response.versions = try await registry.listModels().map(RegistryV1.ModelVersion.init)
      return response
    }
  }

  /// Says what a name, a version or an alias means.
  package func resolveModel(
    _ request: RegistryV1.ResolveModelRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion {
    try await answer { () throws(RegistryError) in
      RegistryV1.ModelVersion(try await registry.resolve(request.model))
    }
  }

  /// Points an alias at a version, or removes it.
  package func setAlias(
    _ request: RegistryV1.SetAliasRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion {
    try await answer { () throws(RegistryError) in
      let version = request.version == 0 ? nil : request.version
      return RegistryV1.ModelVersion(
        try await registry.setAlias(request.alias, of: request.name, to: version)
      )
    }
  }

  private func answer<Response>(
    _ body: () async throws(RegistryError) -> Response
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
  }
}

extension RegistryV1.ModelFile {
  /// The message of a version's file.
  init(_ file: ModelFile) {
    self.init()
    name = file.name
    sizeBytes = UInt64(clamping: file.sizeBytes)
    sha256 = file.sha256
  }
}
