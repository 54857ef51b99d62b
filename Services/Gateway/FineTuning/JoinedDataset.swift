import RPC
import ServiceAPI

/// A dataset of two: the rows of one to train on, those of the other to evaluate on.
///
/// Its name follows from the two: of files from their ids, so that a job tells them again; of others from their digests.
struct JoinedDataset: Sendable {
  private static let prefix = "ft-"

  let backends: Backends

  /// The ids of the files that the dataset `name` was made of; nil if it was not made of two files.
  static func files(of name: String) -> (training: String, validation: String)? {
    let length = prefix.utf8.count + 2 * FileObject.digits + 1
    guard name.utf8.count == length, name.hasPrefix(prefix) else { return nil }
    let training = FileObject.prefix + name.dropFirst(prefix.count).prefix(FileObject.digits)
    let validation = FileObject.prefix + name.suffix(FileObject.digits)
    guard FileObject.isID(training), FileObject.isID(validation) else { return nil }
    return (training, validation)
  }

  private static func name(
    _ training: DatasetsV1.DatasetVersion,
    _ validation: DatasetsV1.DatasetVersion
  ) -> String {
    let areFiles = FileObject.isID(training.name) && FileObject.isID(validation.name)
    let parts = [training, validation].map {
      // Shorter ones, so that they are not taken for the ids of files.
      areFiles ? $0.name.dropFirst(FileObject.prefix.count) : $0.digest.prefix(digestDigits)
    }
    return "\(prefix)\(parts[0])-\(parts[1])"
  }

  private static let digestDigits = 20

  /// Makes it, or finds it.
  func make(
    _ training: DatasetsV1.DatasetVersion,
    _ validation: DatasetsV1.DatasetVersion
  ) async throws(GatewayError) -> DatasetsV1.DatasetVersion {
    var version: DatasetsV1.DatasetVersion?
    do throws(RPCError) {
      let call = try await backends.datasets.importDataset(options: backends.callOptions)
      var options = DatasetsV1.ImportOptions()
      options.name = Self.name(training, validation)
      options.kind = training.kind
      if training.kind == .tokenClassification {
        // What is stored is of the one or the other, whatever it was imported from.
        options.tagScheme = training.tagScheme == .plain ? .plain : .iob2
      }
      var request = DatasetsV1.ImportDatasetRequest()
      request.part = .options(options)
      try await call.requests.write(request)
      try await copy(training, [Self.train], to: Self.train, call.requests)
      try await copy(validation, [Self.dev, "validation"], to: Self.dev, call.requests)
      call.requests.finish()
      for try await response in call.responses {
        if case .result(let result) = response.part { version = result.version }
      }
    } catch {
      throw GatewayError(error, from: "data-management")
    }
    guard let version else {
      throw .internalFailure(cause: RPCError(.internal, "the import ended without a version"))
    }
    return version
  }

  private static let train = "train"
  private static let dev = "dev"

  /// Copies the first split of `version` that `wanted` names, without one all of them: a dataset's rows to test on must
  /// not be trained on.
  private func copy(
    _ version: DatasetsV1.DatasetVersion,
    _ wanted: [String],
    to split: String,
    _ requests: RequestWriter<DatasetsV1.ImportDatasetRequest>
  ) async throws(RPCError) {
    var request = DatasetsV1.ImportDatasetRequest()
    var start = DatasetsV1.FileStart()
    start.name = "\(version.name).jsonl"
    start.format = .jsonl
    start.split = split
    request.part = .file(start)
    try await requests.write(request)
    let sources = version.splits.map(\.name)
    let chosen = wanted.first { sources.contains($0) }
    for source in chosen.map({ [$0] }) ?? sources {
      var read = DatasetsV1.ReadRequest()
      read.dataset = "\(version.name)@\(version.version)"
      read.split = source
      let rows = try await backends.datasets.read(read, options: backends.callOptions)
      for try await response in rows {
        request.part = .data(response.rows)
        try await requests.write(request)
      }
    }
  }
}
