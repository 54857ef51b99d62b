import RPC
import ServiceAPI
import Synchronization

/// A service of some datasets.
final class FakeDatasets: DatasetsV1.DatasetsService {
  private let newest = Mutex<UInt32>(2)

  /// Makes a newer version of every dataset the newest.
  func addVersion() { newest.withLock { $0 += 1 } }

  func getDataset(
    _ request: DatasetsV1.GetDatasetRequest,
    context: ServerContext
  ) async throws -> DatasetsV1.DatasetVersion {
    let parts = request.dataset.split(separator: "@").map(String.init)
    let kinds: [String: DatasetsV1.RowKind] = [
      "entities": .tokenClassification, "intents": .sequenceClassification, "talks": .chat,
      "prose": .text, "bare": .tokenClassification, "hollow": .tokenClassification,
      "outside": .tokenClassification, "places": .tokenClassification,
      "uniform": .sequenceClassification,
    ]
    guard let name = parts.first, let kind = kinds[name] else {
      throw RPCError(.notFound, "dataset \(request.dataset) is not there")
    }
    var dataset = DatasetsV1.DatasetVersion()
    dataset.name = name
    dataset.version = parts.count > 1 ? UInt32(parts[1]) ?? 0 : newest.withLock { $0 }
    dataset.kind = kind
    let splits: [(String, UInt64)] =
      switch name {
      case "bare": [("all", 5)]
      case "hollow": [("train", 0)]
      case "talks": [("train", 5), ("validation", 2)]
      default: [("train", 5), ("dev", 2), ("validation", 2), ("test", 2)]
      }
    dataset.splits = splits.map { name, rows in
      var split = DatasetsV1.Split()
      split.name = name
      split.rows = rows
      let labels = ["outside": ["O"], "places": ["B-LOC"], "uniform": ["spam"]]
      split.labels = (labels[dataset.name] ?? []).map { label in
        var count = DatasetsV1.LabelCount()
        count.name = label
        count.count = rows
        return count
      }
      if dataset.name == "places" { split.entities = split.labels }
      return split
    }
    return dataset
  }
}

/// What training asks for nothing of.
extension FakeDatasets {
  func importDataset(
    _ requests: RequestStream<DatasetsV1.ImportDatasetRequest>,
    context: ServerContext,
    responses: ResponseWriter<DatasetsV1.ImportDatasetResponse>
  ) async throws { throw unused }

  func listDatasets(
    _ request: DatasetsV1.ListDatasetsRequest,
    context: ServerContext
  ) async throws -> DatasetsV1.ListDatasetsResponse { throw unused }

  func splitDataset(
    _ request: DatasetsV1.SplitDatasetRequest,
    context: ServerContext
  ) async throws -> DatasetsV1.DatasetVersion { throw unused }

  func diffDatasets(
    _ request: DatasetsV1.DiffDatasetsRequest,
    context: ServerContext
  ) async throws -> DatasetsV1.DiffDatasetsResponse { throw unused }

  func read(
    _ request: DatasetsV1.ReadRequest,
    context: ServerContext,
    responses: ResponseWriter<DatasetsV1.ReadResponse>
  ) async throws { throw unused }

  func deleteDataset(
    _ request: DatasetsV1.DeleteDatasetRequest,
    context: ServerContext
  ) async throws -> DatasetsV1.DeleteDatasetResponse { throw unused }
}

/// A registry of two models.
struct FakeRegistry: RegistryV1.RegistryService {
  func resolveModel(
    _ request: RegistryV1.ResolveModelRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion {
    let tasks = ["encoder": "feature-extraction", "talker": "text-generation"]
    let name = request.model.split(separator: "@").first.map(String.init) ?? ""
    guard let task = tasks[name] else {
      throw RPCError(.notFound, "model \(request.model) is not registered")
    }
    var version = RegistryV1.ModelVersion()
    version.name = name
    version.version = 7
    version.task = task
    return version
  }
}

/// What training asks for nothing of.
extension FakeRegistry {
  func importModel(
    _ request: RegistryV1.ImportModelRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion { throw unused }

  func listModels(
    _ request: RegistryV1.ListModelsRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ListModelsResponse { throw unused }

  func setAlias(
    _ request: RegistryV1.SetAliasRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion { throw unused }

  func registerVersion(
    _ requests: RequestStream<RegistryV1.RegisterVersionRequest>,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion { throw unused }

  func getModel(
    _ request: RegistryV1.GetModelRequest,
    context: ServerContext
  ) async throws -> RegistryV1.Model { throw unused }

  func promote(
    _ request: RegistryV1.PromoteRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion { throw unused }

  func rollback(
    _ request: RegistryV1.RollbackRequest,
    context: ServerContext
  ) async throws -> RegistryV1.ModelVersion { throw unused }

  func watchAliases(
    _ request: RegistryV1.WatchAliasesRequest,
    context: ServerContext,
    responses: ResponseWriter<RegistryV1.WatchAliasesResponse>
  ) async throws { throw unused }
}

private let unused = RPCError(.unimplemented, "not in these tests")
