import Databases
import GRDB
package import Store
import Synchronization

/// The registry of models: versions of model folders in a content-addressed store, with movable aliases.
///
/// One process owns a store (`registry.lock`). All functions may be called from any task at any time: reads
/// see the last committed state, imports run one after another on a queue of their own, and neither blocks a
/// thread of the cooperative pool. A crash at any point of an import leaves the state before or after it.
package final class ModelRegistry: Sendable {
  /// What the registry keeps in a store.
  package static let schema = Catalogue.schema

  let store: DataStore
  let layout: StoreLayout
  let limits: RegistryLimits
  let catalogue: Catalogue
  let blobs: BlobDirectory
  let inspector: ModelInspector
  let onStep: @Sendable (ImportStep) -> Void
  let importWorker: BlockingWorker
  private let verifyWorker: BlockingWorker
  private let state: Mutex<RegistryCounters>
  let watchers = AliasWatchers()
  let uploads = Mutex(UploadPlaces())

  /// What the sweep at start removed.
  package let swept: SweepReport

  /// Opens the store in a folder, creating both if missing, and removes what a crash left behind.
  ///
  /// Blocks on file work: `open` is for callers on the cooperative pool.
  ///
  /// - Parameters:
  ///   - directory: the store's folder.
  ///   - limits: the named bounds.
  ///   - inspector: validates folders before they are registered.
  ///   - onStep: called, synchronously, as an import advances.
  /// - Throws: `failedPrecondition` if another process owns the store, `dataLoss` if the database is damaged
  ///   or missing while there are blobs.
  package convenience init(
    directory: String,
    limits: RegistryLimits = RegistryLimits(),
    inspector: ModelInspector,
    onStep: @escaping @Sendable (ImportStep) -> Void = { _ in }
  ) throws(DataError) {
    try self.init(
      store: DataStore(
        directory: directory,
        schemas: [Self.schema],
        busyMilliseconds: limits.databaseBusyMillisecondsMax
      ),
      limits: limits,
      inspector: inspector,
      onStep: onStep
    )
  }

  /// The registry in a store that was opened with its schema; removes version folders a crash left behind.
  ///
  /// Blocks on file work. Parameters and errors are those of the other initializer.
  package init(
    store: DataStore,
    limits: RegistryLimits = RegistryLimits(),
    inspector: ModelInspector,
    onStep: @escaping @Sendable (ImportStep) -> Void = { _ in }
  ) throws(DataError) {
    let layout = store.layout
    let catalogue = Catalogue(database: store.database, layout: layout)
    let versions = try store.database.readBlocking("open \(layout.root)") {
      try catalogue.versions($0)
    }
    swept = SweepReport(
      stagedImports: store.swept.staged,
      versionFolders: try Self.sweep(layout, keeping: versions),
      blobs: store.swept.blobs
    )
    self.store = store
    self.layout = layout
    self.limits = limits
    self.catalogue = catalogue
    blobs = store.blobs
    self.inspector = inspector
    self.onStep = onStep
    importWorker = BlockingWorker(label: "import", pendingMax: limits.importsPendingMax)
    verifyWorker = BlockingWorker(label: "verify", pendingMax: limits.verificationsPendingMax)
    state = Mutex(RegistryCounters(versions: versions))
  }

  /// As the initializer, on a thread where blocking is fine.
  package static func open(
    store: DataStore,
    limits: RegistryLimits = RegistryLimits(),
    inspector: ModelInspector
  ) async throws(DataError) -> ModelRegistry {
    try await BlockingWorker(label: "open", pendingMax: 1).run { () throws(DataError) in
      try ModelRegistry(store: store, limits: limits, inspector: inspector)
    }
  }

  /// The store's folder: absolute, without symbolic links.
  package var directory: String { layout.root }

  /// How many models and versions there are, and what was done since the start.
  package var counters: RegistryCounters { state.withLock { $0 } }

  /// Changes the counters at once.
  func count(_ change: (inout RegistryCounters) -> Void) { state.withLock { change(&$0) } }

  /// All versions of all models, by name and version.
  package func listModels() async throws(DataError) -> [ModelVersion] {
    let catalogue = self.catalogue
    return try await catalogue.database.read("list models") { try catalogue.versions($0) }
  }

  /// What `name`, `name@version` or `name@alias` means.
  ///
  /// - Throws: `invalidArgument` for text that is no reference, `notFound`, or `dataLoss` naming the file if
  ///   one of the version's files is missing or has another size than was registered.
  package func resolve(_ reference: String) async throws(DataError) -> ModelVersion {
    let reference = try ModelReference(parsing: reference)
    let catalogue = self.catalogue
    return try await catalogue.database.read("resolve \(reference.name)") { database in
      let version = try catalogue.resolve(database, reference)
      // On the reader's thread, where `stat` may block.
      try Self.checkSizes(of: version)
      return version
    }
  }

  /// Reads every file of a version and compares its digest; the result names the damaged ones.
  ///
  /// Takes as long as reading the files; runs beside imports and reads. Cancelling the task ends it.
  package func verify(_ reference: String) async throws(DataError) -> VerificationReport {
    let reference = try ModelReference(parsing: reference)
    let catalogue = self.catalogue
    let version = try await catalogue.database.read("verify \(reference.name)") {
      try catalogue.resolve($0, reference)
    }
    let blobs = self.blobs
    return try await verifyWorker.run { () throws(DataError) in
      var damaged: [VerificationReport.DamagedFile] = []
      for file in version.files {
        let reason: String?
        if let damage = try blobs.damage(of: file) {
          reason = damage
        } else {
          reason = try Self.linkDamage(of: file, in: version, blobs: blobs)
        }
        if let reason {
          damaged.append(VerificationReport.DamagedFile(name: file.name, reason: reason))
        }
      }
      return VerificationReport(version: version, damaged: damaged)
    }
  }

  /// Closes the database once running reads and writes have ended; later calls throw.
  ///
  /// The store stays locked until the registry is released.
  package func close() async throws(DataError) {
    watchers.end()
    try await store.close()
  }
}

/// What a verification found.
package struct VerificationReport: Sendable {
  /// A file whose content is not what was registered.
  package struct DamagedFile: Sendable, Equatable {
    /// The file's name in the version's folder.
    package let name: String
    /// What is wrong with it.
    package let reason: String
  }

  /// The version that was read.
  package let version: ModelVersion
  /// Its damaged files; empty if all is well.
  package let damaged: [DamagedFile]
}

/// What a start removed: leftovers of imports that a crash cut short.
package struct SweepReport: Sendable, Equatable {
  /// Imports under way.
  package var stagedImports = 0
  /// Version folders that were never registered.
  package var versionFolders = 0
  /// Blobs that no version refers to.
  package var blobs = 0

  /// Whether anything was removed.
  package var isEmpty: Bool { self == SweepReport() }
}

/// Figures for metrics.
package struct RegistryCounters: Sendable, Equatable {
  /// Models registered.
  package var models: Int
  /// Versions registered.
  package var versions: Int
  /// Imports since the start that added a version.
  package var importsAdded = 0
  /// Imports since the start that found their content registered already.
  package var importsUnchanged = 0
  /// Imports since the start that failed.
  package var importsFailed = 0

  init(versions: [ModelVersion]) {
    models = Set(versions.map(\.name)).count
    self.versions = versions.count
  }
}
