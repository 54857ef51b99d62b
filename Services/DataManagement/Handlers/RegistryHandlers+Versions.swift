package import RPC
import Registry
package import ServiceAPI
import ServiceKit
import Store

// Versions that are uploaded, and aliases that are moved and watched.
extension RegistryHandlers {
  /// The versions of one model whose configurations are sent: of 16 KiB each at most, they fit into a message.
  static let configurationsMax = 128

  /// Registers a model folder that the client sends.
  package func registerVersion(
    _ requests: RequestStream<RegistryV1.RegisterVersionRequest>,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion {
    var messages = requests.makeAsyncIterator()
    guard case .start(let start)? = try await messages.next()?.part else {
      throw RPCError(.invalidArgument, "register: the first message must be `start`")
    }
    do {
      let upload = try registry.beginUpload(
        name: start.name,
        metrics: start.metrics.map { ModelMetric(name: $0.name, value: $0.value) },
        lineage: start.lineage.map(ModelLineage.init)
      )
      while let message = try await messages.next() {
        switch message.part {
        case .file(let file): try await upload.startFile(StoredFile(file))
        case .data(let bytes): try await upload.append(bytes)
        case .start, nil:
          throw RPCError(.invalidArgument, "register \(start.name): `file` or `data` was expected")
        }
      }
      return RegistryV1.ModelVersion(try await upload.finish().version)
    } catch let error as DataError {
      throw RPCError(error)
    }
  }

  /// Describes one model.
  package func getModel(
    _ request: RegistryV1.GetModelRequest,
    context: ServerContext
  ) async throws -> RegistryV1.Model {
    try await answer { () throws(DataError) in
      let model = try await registry.model(request.name)
      var response = RegistryV1.Model()
      response.name = request.name
      response.versions = model.versions.map(RegistryV1.ModelVersion.init)
      for index in response.versions.indices.dropLast(Self.configurationsMax) {
        response.versions[index].lineage?.configurationJSON = ""
      }
      response.aliases = model.aliases.map(RegistryV1.AliasTarget.init)
      response.history = model.history.map(RegistryV1.AliasChange.init)
      return response
    }
  }

  /// Points an alias at a version.
  package func promote(
    _ request: RegistryV1.PromoteRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion {
    try await answer { () throws(DataError) in
      let alias = request.alias.isEmpty ? ModelReference.productionAlias : request.alias
      return RegistryV1.ModelVersion(try await registry.promote(request.model, as: alias))
    }
  }

  /// Points an alias back to where it pointed before.
  package func rollback(
    _ request: RegistryV1.RollbackRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion {
    try await answer { () throws(DataError) in
      let alias = request.alias.isEmpty ? ModelReference.productionAlias : request.alias
      return RegistryV1.ModelVersion(try await registry.rollback(request.name, alias: alias))
    }
  }

  /// Says where aliases point, and each time they moved.
  ///
  /// Ends with UNAVAILABLE when the server drains, so that a watcher does not hold the drain up.
  package func watchAliases(
    _ request: RegistryV1.WatchAliasesRequest,
    context: ServerContext,
    responses: ResponseWriter<RegistryV1.WatchAliasesResponse>
  ) async throws {
    let registry = self.registry
    try await endingWithDrain {
      do {
        var watch = try registry.watchAliases(of: request.names)
        while let targets = try await watch.next() {
          var response = RegistryV1.WatchAliasesResponse()
          response.aliases = targets.map(RegistryV1.AliasTarget.init)
          try await responses.write(response)
        }
      } catch let error as DataError {
        throw RPCError(error)
      }
    }
    try Task.checkCancellation()
    throw RPCError(.unavailable, "the server is shutting down")
  }

  /// Runs the body until it ends, or the server drains.
  private func endingWithDrain(_ body: @escaping @Sendable () async throws -> Void) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask(operation: body)
      if let drain = health?.watch("") {
        group.addTask { for await _ in drain {} }
      }
      defer { group.cancelAll() }
      try await group.next()
    }
  }
}

extension StoredFile {
  /// The file a message announces.
  fileprivate init(_ file: RegistryV1.ModelFile) {
    self.init(
      name: file.name,
      sizeBytes: Int64(clamping: file.sizeBytes),
      sha256: file.sha256
    )
  }
}

extension ModelLineage {
  /// The lineage of a message.
  fileprivate init(_ lineage: RegistryV1.Lineage) {
    self.init(
      dataset: lineage.dataset,
      datasetDigest: lineage.datasetDigest,
      jobID: lineage.jobID,
      baseModel: lineage.baseModel,
      baseModelDigest: lineage.baseModelDigest,
      configurationJSON: lineage.configurationJSON
    )
  }
}

extension RegistryV1.Lineage {
  /// The message of a lineage.
  init(_ lineage: ModelLineage) {
    self.init()
    dataset = lineage.dataset
    datasetDigest = lineage.datasetDigest
    jobID = lineage.jobID
    baseModel = lineage.baseModel
    baseModelDigest = lineage.baseModelDigest
    configurationJSON = lineage.configurationJSON
  }
}

extension RegistryV1.Metric {
  /// The message of a metric.
  init(_ metric: ModelMetric) {
    self.init()
    name = metric.name
    value = metric.value
  }
}

extension RegistryV1.AliasTarget {
  /// The message of a target.
  fileprivate init(_ target: AliasTarget) {
    self.init()
    name = target.name
    alias = target.alias
    version = target.version
    digest = target.digest
    isImplied = target.isImplied
  }
}

extension RegistryV1.AliasChange {
  /// The message of a change.
  fileprivate init(_ change: AliasChange) {
    self.init()
    alias = change.alias
    version = change.version ?? 0
    previous = change.previous ?? 0
    action = change.action.rawValue
    atMs = change.atMilliseconds
  }
}
