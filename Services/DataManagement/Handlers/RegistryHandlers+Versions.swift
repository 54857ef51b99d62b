package import RPC
package import ServiceAPI

// What follows comes with versions that are uploaded.
extension RegistryHandlers {
  /// Not yet implemented.
  package func registerVersion(
    _ requests: RequestStream<RegistryV1.RegisterVersionRequest>,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion { throw RPCError(.unimplemented, "not yet") }

  /// Not yet implemented.
  package func getModel(
    _ request: RegistryV1.GetModelRequest,
    context: ServerContext
  ) async throws -> RegistryV1.Model { throw RPCError(.unimplemented, "not yet") }

  /// Not yet implemented.
  package func promote(
    _ request: RegistryV1.PromoteRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion { throw RPCError(.unimplemented, "not yet") }

  /// Not yet implemented.
  package func rollback(
    _ request: RegistryV1.RollbackRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion { throw RPCError(.unimplemented, "not yet") }

  /// Not yet implemented.
  package func watchAliases(
    _ request: RegistryV1.WatchAliasesRequest,
    context: ServerContext,
    responses: ResponseWriter<RegistryV1.WatchAliasesResponse>
  ) async throws { throw RPCError(.unimplemented, "not yet") }
}
