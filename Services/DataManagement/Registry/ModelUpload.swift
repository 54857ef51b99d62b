import Files
import JSON
package import Store
import Synchronization

/// The places of uploads under way, and the numbers of their folders.
struct UploadPlaces: Sendable {
  var taken = 0
  var next = 0
}

extension ModelRegistry {
  /// Starts to register a version from files that come in pieces; `finish` registers it, and dropping the upload
  /// leaves nothing behind.
  ///
  /// - Parameters:
  ///   - name: the model's name.
  ///   - metrics: what its evaluation gave.
  ///   - lineage: where it comes from.
  /// - Returns: the upload.
  /// - Throws: `invalidArgument` for a bad name, metric or lineage, `resourceExhausted` beyond `uploadsMax`.
  package func beginUpload(
    name: String,
    metrics: [ModelMetric] = [],
    lineage: ModelLineage? = nil
  ) throws(DataError) -> ModelUpload {
    try ModelReference.validateName(name)
    try validate(metrics, of: name)
    if let lineage { try validate(lineage, of: name) }
    let number = uploads.withLock { places -> Int? in
      guard places.taken < limits.uploadsMax else { return nil }
      places.taken += 1
      places.next += 1
      return places.next
    }
    guard let number else {
      throw DataError(
        .resourceExhausted,
        "register \(name): \(limits.uploadsMax) uploads are under way"
      )
    }
    return ModelUpload(
      registry: self,
      name: name,
      metrics: metrics,
      lineage: lineage,
      staging: "\(layout.staging)/upload-\(number)"
    )
  }

  private func validate(_ metrics: [ModelMetric], of name: String) throws(DataError) {
    guard metrics.count <= limits.metricsMax else {
      throw DataError(.invalidArgument, "register \(name): more than \(limits.metricsMax) metrics")
    }
    var names: Set<String> = []
    for metric in metrics {
      let shown = StoreName.quoted(metric.name)
      guard (1...limits.metricNameBytesMax).contains(metric.name.utf8.count) else {
        throw DataError(
          .invalidArgument,
          "register \(name): metric \(shown): the name has not 1 to \(limits.metricNameBytesMax) bytes"
        )
      }
      guard metric.value.isFinite else {
        throw DataError(.invalidArgument, "register \(name): metric \(shown) is \(metric.value)")
      }
      guard names.insert(metric.name).inserted else {
        throw DataError(.invalidArgument, "register \(name): metric \(shown) is there twice")
      }
    }
  }

  private func validate(_ lineage: ModelLineage, of name: String) throws(DataError) {
    let texts = [
      lineage.dataset, lineage.datasetDigest, lineage.jobID, lineage.baseModel,
      lineage.baseModelDigest,
    ]
    guard texts.allSatisfy({ $0.utf8.count <= limits.lineageBytesMax }) else {
      throw DataError(
        .invalidArgument,
        "register \(name): a text of the lineage is longer than \(limits.lineageBytesMax) bytes"
      )
    }
    let configuration = Array(lineage.configurationJSON.utf8)
    guard configuration.count <= limits.configurationBytesMax else {
      throw DataError(
        .invalidArgument,
        "register \(name): the configuration is longer than \(limits.configurationBytesMax) bytes"
      )
    }
    guard !configuration.isEmpty else { return }
    do {
      let value = try JSONReader.parse(configuration)
      guard case .object = value else {
        throw DataError(
          .invalidArgument,
          "register \(name): the configuration is \(value.kind), not an object"
        )
      }
    } catch let error as DataError {
      throw error
    } catch {
      throw DataError(.invalidArgument, "register \(name): the configuration is no JSON: \(error)")
    }
  }

  func releaseUpload() { uploads.withLock { $0.taken -= 1 } }
}

/// A version on its way: files come one after another, in pieces, and are checked against their digests.
///
/// Its work runs on a queue of its own, where it may block. One task may use it at a time.
package actor ModelUpload {
  private nonisolated let executor = QueueExecutor(label: "llmos.data.upload")
  private let registry: ModelRegistry
  private let name: String
  private let metrics: [ModelMetric]
  private let lineage: ModelLineage?
  private let staging: String
  private var files: [StoredFile] = []
  private var current: (announced: StoredFile, file: StagedFile)?
  private var hasFolder = false
  private var isRegistered = false
  private var isIgnoring = false
  private var ignored: [String] = []

  /// The queue.
  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    executor.asUnownedSerialExecutor()
  }

  fileprivate init(
    registry: ModelRegistry,
    name: String,
    metrics: [ModelMetric],
    lineage: ModelLineage?,
    staging: String
  ) {
    self.registry = registry
    self.name = name
    self.metrics = metrics
    self.lineage = lineage
    self.staging = staging
  }

  deinit {
    // Blocks for as long as removing some files takes; what cannot be removed is swept at start.
    if hasFolder { try? FileSystem.removeTree(staging) }
    if !isRegistered { registry.count { $0.importsFailed += 1 } }
    registry.releaseUpload()
  }

  /// Starts the next file; the one before is at its end.
  ///
  /// One whose name is not of a model folder's layout is left out, as by an import. Throws `invalidArgument` for
  /// a file that comes twice, `resourceExhausted` for one that is too large, `failedPrecondition` if the one
  /// before is not what was announced.
  package func startFile(_ announced: StoredFile) throws(DataError) {
    try endFile()
    let shown = StoreName.quoted(announced.name)
    isIgnoring = !ImportFolder.isTaken(announced.name)
    if isIgnoring {
      guard ignored.count < registry.limits.folderEntriesMax else {
        throw DataError(
          .resourceExhausted,
          "register \(name): more than \(registry.limits.folderEntriesMax) files"
        )
      }
      ignored.append(announced.name)
      return
    }
    guard !files.contains(where: { $0.name == announced.name }) else {
      throw DataError(.invalidArgument, "register \(name): \(shown) comes twice")
    }
    guard files.count < registry.limits.filesMax else {
      throw DataError(
        .resourceExhausted,
        "register \(name): more than \(registry.limits.filesMax) files"
      )
    }
    let bytesMax = registry.limits.bytesMax(of: announced.name)
    guard (0...bytesMax).contains(announced.sizeBytes) else {
      throw DataError(
        .resourceExhausted,
        "register \(name): \(shown): \(announced.sizeBytes) bytes, more than \(bytesMax)"
      )
    }
    if !hasFolder {
      try FileSystem.removeTree(staging)
      try FileSystem.createDirectory(staging)
      hasFolder = true
      registry.onStep(.begun)
    }
    current = (announced, try StagedFile(path: "\(staging)/\(announced.name)"))
  }

  /// Takes in the next bytes of the file.
  package func append(_ bytes: [UInt8]) throws(DataError) {
    if isIgnoring { return }
    guard let current else {
      throw DataError(.invalidArgument, "register \(name): data without a file")
    }
    if Task.isCancelled { throw DataError(.cancelled, "register \(name): cancelled") }
    guard current.file.sizeBytes + bytes.count <= current.announced.sizeBytes else {
      throw DataError(
        .failedPrecondition,
        "register \(name): \(current.announced.name): more than the "
          + "\(current.announced.sizeBytes) bytes announced"
      )
    }
    try current.file.append(bytes)
  }

  /// Registers the files as the next version of the name, or returns the version that has them already.
  ///
  /// Throws as `ModelRegistry.importModel`.
  package func finish() async throws(DataError) -> ImportOutcome {
    let outcome = try await registered()
    isRegistered = true
    registry.count { if outcome.isNew { $0.importsAdded += 1 } else { $0.importsUnchanged += 1 } }
    return outcome
  }

  private func registered() async throws(DataError) -> ImportOutcome {
    try endFile()
    for required in ImportFolder.required where !files.contains(where: { $0.name == required }) {
      throw DataError(.failedPrecondition, "register \(name): \(required) is missing")
    }
    var draft = VersionDraft(
      name: name,
      source: "register \(name)",
      files: files.sorted { $0.name < $1.name }
    )
    (draft.metrics, draft.lineage, draft.keepsMeaning) = (metrics, lineage, true)
    draft.ignored = ignored.sorted()
    let (registry, name, staging, ready) = (registry, name, staging, draft)
    return try await registry.importWorker.run { () throws(DataError) in
      let known = try registry.knownVersions(toAddTo: name)
      let outcome = try registry.register(ready, known: known, staging: staging)
      // The version is there, whether this succeeds or not.
      try? FileSystem.removeTree(staging)
      registry.onStep(.cleaned)
      return outcome
    }
  }

  private func endFile() throws(DataError) {
    guard let (announced, file) = current else { return }
    current = nil
    let found = try file.finish(name: announced.name)
    guard found.sizeBytes == announced.sizeBytes else {
      throw DataError(
        .failedPrecondition,
        "register \(name): \(announced.name): \(found.sizeBytes) bytes came, "
          + "\(announced.sizeBytes) were announced"
      )
    }
    guard found.sha256 == announced.sha256 else {
      throw DataError(
        .failedPrecondition,
        "register \(name): \(announced.name): SHA-256 is \(found.sha256) instead of "
          + "\(StoreName.quoted(announced.sha256))"
      )
    }
    files.append(found)
    registry.onStep(.fileCopied)
  }
}
