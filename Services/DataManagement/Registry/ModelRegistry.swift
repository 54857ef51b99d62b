import GRDB
import Synchronization

/// The registry of models: versions of model folders in a content-addressed store, with movable aliases.
///
/// One process owns a store (`registry.lock`). All functions may be called from any task at any time: reads
/// see the last committed state, imports run one after another on a queue of their own, and neither blocks a
/// thread of the cooperative pool. A crash at any point of an import leaves the state before or after it.
package final class ModelRegistry: Sendable {
  let layout: StoreLayout
  let limits: RegistryLimits
  let catalogue: Catalogue
  let blobs: BlobDirectory
  let inspector: ModelInspector
  let onStep: @Sendable (ImportStep) -> Void
  let importWorker: BlockingWorker
  private let verifyWorker: BlockingWorker
  private let lock: StoreLock
  private let state: Mutex<RegistryCounters>

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
  package init(
    directory: String,
    limits: RegistryLimits = RegistryLimits(),
    inspector: ModelInspector,
    onStep: @escaping @Sendable (ImportStep) -> Void = { _ in }
  ) throws(RegistryError) {
    let layout = try StoreLayout.create(in: directory)
    let lock = try StoreLock(path: layout.lock)
    let blobs = BlobDirectory(layout: layout)
    // The sweep would take every blob for a leftover: without the database nothing says otherwise.
    if try FileSystem.status(layout.database) == nil, try !blobs.isEmpty() {
      throw RegistryError(
        .dataLoss,
        "open \(layout.root): registry.sqlite is missing but there are blobs; "
          + "restore it, or move the folder away to start anew"
      )
    }
    let catalogue = try Catalogue(
      layout: layout,
      busyMilliseconds: limits.databaseBusyMillisecondsMax
    )
    let versions = try catalogue.readBlocking("open \(layout.root)") {
      try catalogue.versions($0)
    }
    swept = try Self.sweep(layout, blobs: blobs, keeping: versions)
    self.layout = layout
    self.limits = limits
    self.catalogue = catalogue
    self.blobs = blobs
    self.inspector = inspector
    self.onStep = onStep
    self.lock = lock
    importWorker = BlockingWorker(label: "import", pendingMax: limits.importsPendingMax)
    verifyWorker = BlockingWorker(label: "verify", pendingMax: limits.verificationsPendingMax)
    state = Mutex(RegistryCounters(versions: versions))
  }

  /// As the initializer, on a thread where blocking is fine.
  package static func open(
    directory: String,
    limits: RegistryLimits = RegistryLimits(),
    inspector: ModelInspector
  ) async throws(RegistryError) -> ModelRegistry {
    try await BlockingWorker(label: "open", pendingMax: 1).run { () throws(RegistryError) in
      try ModelRegistry(directory: directory, limits: limits, inspector: inspector)
    }
  }

  /// The store's folder: absolute, without symbolic links.
  package var directory: String { layout.root }

  /// How many models and versions there are, and what was done since the start.
  package var counters: RegistryCounters { state.withLock { $0 } }

  /// Changes the counters at once.
  func count(_ change: (inout RegistryCounters) -> Void) { state.withLock { change(&$0) } }

  /// All versions of all models, by name and version.
  package func listModels() async throws(RegistryError) -> [ModelVersion] {
    let catalogue = self.catalogue
    return try await catalogue.read("list models") { try catalogue.versions($0) }
  }

  /// What `name`, `name@version` or `name@alias` means.
  ///
  /// - Throws: `invalidArgument` for text that is no reference, `notFound`, or `dataLoss` naming the file if
  ///   one of the version's files is missing or has another size than was registered.
  package func resolve(_ reference: String) async throws(RegistryError) -> ModelVersion {
    let reference = try ModelReference(parsing: reference)
    let catalogue = self.catalogue
    return try await catalogue.read("resolve \(reference.name)") { database in
      let version = try catalogue.resolve(database, reference)
      // On the reader's thread, where `stat` may block.
      try Self.checkSizes(of: version)
      return version
    }
  }

  /// Points an alias at a version, or removes it, and returns the version it points at, or pointed at.
  ///
  /// - Parameters:
  ///   - alias: as a name, but not a number.
  ///   - name: the model.
  ///   - version: the version to point at; nil removes the alias.
  /// - Returns: the version, with its aliases after the change.
  /// - Throws: `invalidArgument`, `notFound`, `resourceExhausted` beyond `aliasesMax`.
  package func setAlias(
    _ alias: String,
    of name: String,
    to version: UInt32?
  ) async throws(RegistryError) -> ModelVersion {
    try ModelReference.validateName(name)
    try ModelReference.validateAlias(alias)
    let catalogue = self.catalogue
    let aliasesMax = limits.aliasesMax
    return try await catalogue.write("alias \(name)@\(alias)") { database in
      guard let version else {
        let target = try catalogue.resolve(
          database,
          ModelReference(parsing: "\(name)@\(alias)")
        )
        try catalogue.removeAlias(database, alias, of: name)
        return try catalogue.resolve(
          database,
          ModelReference(parsing: "\(name)@\(target.version)")
        )
      }
      let reference = try ModelReference(parsing: "\(name)@\(version)")
      _ = try catalogue.resolve(database, reference)
      let others = try catalogue.versions(database, of: name).flatMap(\.aliases)
        .filter { $0 != alias }
      guard others.count < aliasesMax else {
        throw RegistryError(
          .resourceExhausted,
          "alias \(name)@\(alias): the model has \(others.count) aliases already, at most \(aliasesMax)"
        )
      }
      try catalogue.setAlias(database, alias, of: name, to: version)
      return try catalogue.resolve(database, reference)
    }
  }

  /// Reads every file of a version and compares its digest; the result names the damaged ones.
  ///
  /// Takes as long as reading the files; runs beside imports and reads. Cancelling the task ends it.
  package func verify(_ reference: String) async throws(RegistryError) -> VerificationReport {
    let reference = try ModelReference(parsing: reference)
    let catalogue = self.catalogue
    let version = try await catalogue.read("verify \(reference.name)") {
      try catalogue.resolve($0, reference)
    }
    let blobs = self.blobs
    return try await verifyWorker.run { () throws(RegistryError) in
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
  package func close() async throws(RegistryError) {
    let catalogue = self.catalogue
    try await BlockingWorker(label: "close", pendingMax: 1).run { () throws(RegistryError) in
      try catalogue.close()
    }
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
