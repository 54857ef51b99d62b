package import Datasets
package import RPC
package import ServiceAPI
import Store

/// The datasets service: decodes, calls the datasets, encodes.
///
/// File work runs on threads of its own, so no handler blocks. A call that is cancelled, or whose deadline
/// passes, ends its import or leaves nothing behind.
package struct DatasetsHandlers: DatasetsV1.DatasetsService {
  /// Bytes between two reports of progress.
  private static let progressBytes: UInt64 = 1 << 20
  /// Rows of each kind that a difference shows at most.
  private static let differenceRowsMax = 100

  private let datasets: DatasetStore

  /// Handlers of one store of datasets.
  package init(datasets: DatasetStore) {
    self.datasets = datasets
  }

  /// Imports files that the client sends.
  package func importDataset(
    _ requests: RequestStream<DatasetsV1.ImportDatasetRequest>,
    context: ServerContext,
    responses: ResponseWriter<DatasetsV1.ImportDatasetResponse>
  ) async throws {
    var messages = requests.makeAsyncIterator()
    guard case .options(let options)? = try await messages.next()?.part else {
      throw RPCError(.invalidArgument, "import: the first message must be `options`")
    }
    do {
      let session = try datasets.beginImport(try ImportOptions(options))
      var reportedBytes: UInt64 = 0
      while let message = try await messages.next() {
        switch message.part {
        case .file(let file): try await session.startFile(file)
        case .data(let bytes): try await session.append(bytes)
        case .options, nil:
          throw RPCError(.invalidArgument, "import \(options.name): `file` or `data` was expected")
        }
        let progress = await session.progress
        guard progress.bytes >= reportedBytes + Self.progressBytes else { continue }
        reportedBytes = progress.bytes
        try await responses.write(.progress(progress))
      }
      let outcome = try await session.finish()
      try await responses.write(.progress(await session.progress))
      try await responses.write(.result(outcome))
      guard outcome.version == nil else { return }
      let first = outcome.badRows.first.map { "; the first: \($0.file):\($0.line): \($0.reason)" }
      throw RPCError(
        .failedPrecondition,
        "import \(options.name): \(outcome.badRowsTotal) bad rows\(first ?? "")"
      )
    } catch let error as DataError {
      throw RPCError(error)
    }
  }

  /// Lists all versions of all datasets.
  package func listDatasets(
    _ request: DatasetsV1.ListDatasetsRequest,
    context: ServerContext
  ) async throws -> DatasetsV1.ListDatasetsResponse {
    try await answer { () throws(DataError) in
      var response = DatasetsV1.ListDatasetsResponse()
      response.versions = try await datasets.list().map {
        DatasetsV1.DatasetVersion($0, isSummary: true)
      }
      return response
    }
  }

  /// Describes one version.
  package func getDataset(
    _ request: DatasetsV1.GetDatasetRequest,
    context: ServerContext
  ) async throws -> DatasetsV1.DatasetVersion {
    try await answer { () throws(DataError) in
      DatasetsV1.DatasetVersion(try await datasets.resolve(request.dataset))
    }
  }

  /// Makes a version with other splits.
  package func splitDataset(
    _ request: DatasetsV1.SplitDatasetRequest,
    context: ServerContext
  ) async throws -> DatasetsV1.DatasetVersion {
    try await answer { () throws(DataError) in
      var options = SplitOptions(
        shares: request.shares.map { .init(name: $0.name, fraction: $0.fraction) },
        seed: request.seed
      )
      options.from = request.from
      options.isStratified = request.stratified
      return DatasetsV1.DatasetVersion(try await datasets.split(request.dataset, options))
    }
  }

  /// Compares two versions.
  package func diffDatasets(
    _ request: DatasetsV1.DiffDatasetsRequest,
    context: ServerContext
  ) async throws -> DatasetsV1.DiffDatasetsResponse {
    try await answer { () throws(DataError) in
      DatasetsV1.DiffDatasetsResponse(
        try await datasets.difference(
          from: request.older,
          to: request.newer,
          rowsMax: min(Int(request.rowsMax), Self.differenceRowsMax)
        )
      )
    }
  }

  /// Streams the rows of a split; suspends while the client reads slowly.
  package func read(
    _ request: DatasetsV1.ReadRequest,
    context: ServerContext,
    responses: ResponseWriter<DatasetsV1.ReadResponse>
  ) async throws {
    do {
      var options = ReadOptions(split: request.split)
      options.seed = request.shuffled ? request.seed : nil
      options.cursor = request.cursor
      options.rowsMax = request.rowsMax
      let reader = try await datasets.reader(request.dataset, options)
      var isFirst = true
      while let batch = try await reader.next(
        rowsMax: request.batchRows == 0 ? 256 : Int(request.batchRows)
      ) {
        var response = DatasetsV1.ReadResponse()
        response.rows = batch.rows
        response.rowCount = UInt32(batch.count)
        response.cursor = batch.cursor
        if isFirst {
          response.dataset = reader.version.reference
          response.digest = reader.version.digest
          response.splitRows = reader.split.statistics.rows
        }
        isFirst = false
        try await responses.write(response)
      }
    } catch let error as DataError {
      throw RPCError(error)
    }
  }

  /// Removes a version.
  package func deleteDataset(
    _ request: DatasetsV1.DeleteDatasetRequest,
    context: ServerContext
  ) async throws -> DatasetsV1.DeleteDatasetResponse {
    try await answer { () throws(DataError) in
      try await datasets.delete(request.dataset)
      return DatasetsV1.DeleteDatasetResponse()
    }
  }

  private func answer<Response>(
    _ body: () async throws(DataError) -> Response
  ) async throws(RPCError) -> Response {
    do {
      return try await body()
    } catch {
      throw RPCError(error)
    }
  }
}
