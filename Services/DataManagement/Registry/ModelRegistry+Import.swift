import Databases
import Files
import GRDB
package import Store

/// Where an import has got to.
///
/// After `committed` the new version is there; before, it is not.
package enum ImportStep: String, Sendable, CaseIterable {
  /// The staging folder is there.
  case begun
  /// One file was copied and hashed.
  case fileCopied
  /// The copy was found to be a sound model.
  case validated
  /// One copy became a blob.
  case blobAdopted
  /// The version's folder was built in staging.
  case versionBuilt
  /// The version's folder is in its place.
  case versionPlaced
  /// The database has the version.
  case committed
  /// The staging folder is gone.
  case cleaned
}

/// What is to become a version.
struct VersionDraft: Sendable {
  /// The model's name.
  let name: String
  /// Where the files come from, for messages: "import /models/x".
  let source: String
  /// The files, sorted by name.
  let files: [StoredFile]
  /// Entries of the folder that were not taken.
  var ignored: [String] = []
  /// Figures of its evaluation.
  var metrics: [ModelMetric] = []
  /// Where it comes from.
  var lineage: ModelLineage?
  /// Whether the name goes on to mean what it meant before.
  var keepsMeaning = false

  init(name: String, source: String, files: [StoredFile]) {
    self.name = name
    self.source = source
    self.files = files
  }
}

/// What an import did.
package struct ImportOutcome: Sendable {
  /// The version of the folder's content.
  package let version: ModelVersion
  /// Whether the version was added; otherwise it was there already.
  package let isNew: Bool
  /// Entries of the folder that were not taken.
  package let ignored: [String]
}

extension ModelRegistry {
  /// Copies a model folder (Hugging Face layout) into the store and registers it as the next version of its
  /// name.
  ///
  /// A folder with the digest of a present version of that name adds nothing: the version is returned, after
  /// damaged files of it were replaced. Imports run one at a time; cancelling the task ends one between two
  /// chunks.
  ///
  /// - Parameters:
  ///   - folder: the folder's absolute path.
  ///   - name: the model's name; nil or empty means the folder's own name.
  /// - Returns: the version, whether it is new, and what was left out.
  /// - Throws: `invalidArgument` for a bad name or path, `notFound` if there is no such folder,
  ///   `failedPrecondition` naming the file that is missing, damaged or not a plain file,
  ///   `resourceExhausted` for what exceeds a limit or the disk.
  package func importModel(
    folder: String,
    name: String? = nil
  ) async throws(DataError) -> ImportOutcome {
    do {
      let outcome = try await importWorker.run { () throws(DataError) in
        try self.importBlocking(folder: folder, name: name)
      }
      count { if outcome.isNew { $0.importsAdded += 1 } else { $0.importsUnchanged += 1 } }
      return outcome
    } catch {
      count { $0.importsFailed += 1 }
      throw error
    }
  }

  /// The import itself.
  ///
  /// Order matters: blobs, then the folder, each durable before the next, and last the
  /// transaction that makes them a version; what a crash leaves without it is swept at the next start.
  private func importBlocking(
    folder: String,
    name: String?
  ) throws(DataError) -> ImportOutcome {
    let source = try ImportFolder(path: folder, limits: limits)
    let name = name.flatMap { $0.isEmpty ? nil : $0 } ?? source.folderName
    try ModelReference.validateName(name)
    let known = try knownVersions(toAddTo: name)

    let staging = "\(layout.staging)/import"
    try FileSystem.removeTree(staging)
    try FileSystem.createDirectory(staging)
    let outcome: ImportOutcome
    do {
      onStep(.begun)
      outcome = try register(source, as: name, known: known, staging: staging)
    } catch {
      // The error of the import is the one to report; what cannot be removed now is swept at start.
      try? FileSystem.removeTree(staging)
      throw error
    }
    // The version is there, whether this succeeds or not.
    try? FileSystem.removeTree(staging)
    onStep(.cleaned)
    return outcome
  }

  private func register(
    _ source: ImportFolder,
    as name: String,
    known: [ModelVersion],
    staging: String
  ) throws(DataError) -> ImportOutcome {
    let files = try copyFiles(of: source, to: staging)
    var draft = VersionDraft(name: name, source: "import \(source.path)", files: files)
    draft.ignored = source.ignored
    return try register(draft, known: known, staging: staging)
  }

  /// Makes staged files the next version of a name; runs on the import worker.
  ///
  /// - Parameters:
  ///   - draft: what to register; its files lie in `staging`, and nothing else.
  ///   - known: all versions there are.
  ///   - staging: the folder, which the caller removes.
  /// - Returns: the version.
  /// - Throws: as `importModel`.
  func register(
    _ draft: VersionDraft,
    known: [ModelVersion],
    staging: String
  ) throws(DataError) -> ImportOutcome {
    let (name, files) = (draft.name, draft.files)
    // The copy is inspected rather than the folder: nobody else writes to it, so that what was checked is
    // what is registered, and a mapped file cannot be cut short under the reader.
    let description: ModelDescription
    do {
      description = try inspector.inspect(staging)
    } catch {
      throw DataError(error.code, "\(draft.source): \(error.message)", cause: error.cause)
    }
    if let before = known.last(where: { $0.name == name })?.description.task,
      before != description.task
    {
      throw DataError(
        .failedPrecondition,
        "\(draft.source): \(name) is a model for \(before), this one is for \(description.task): "
          + "give it a name of its own"
      )
    }
    onStep(.validated)

    var repaired: Set<String> = []
    for file in files {
      if try blobs.adopt(staged: "\(staging)/\(file.name)", as: file) {
        repaired.insert(file.sha256)
      }
      onStep(.blobAdopted)
    }
    let digest = ModelVersion.digest(of: files)
    let present = known.first { $0.name == name && $0.digest == digest }
    for version in known
    where version == present || version.files.contains(where: { repaired.contains($0.sha256) }) {
      try relink(version, staging: staging)
    }
    if let present {
      return ImportOutcome(version: present, isNew: false, ignored: draft.ignored)
    }
    let newest = known.last { $0.name == name }?.version
    let number = (newest ?? 0) + 1
    let version = ModelVersion(
      name: name,
      version: number,
      digest: digest,
      description: description,
      files: files,
      path: layout.version(number, of: name),
      aliases: [],
      createdAtMilliseconds: WallClock.milliseconds(),
      metrics: draft.metrics,
      lineage: draft.lineage
    )
    try place(version, staging: staging)
    do {
      try catalogue.database.writeBlocking(draft.source) { database in
        try catalogue.insert(database, version)
        guard draft.keepsMeaning, let newest else { return }
        try keepMeaning(of: name, database, newest)
      }
    } catch {
      try? FileSystem.removeTree(version.path)
      throw error
    }
    count {
      $0.versions += 1
      if number == 1 { $0.models += 1 }
    }
    onStep(.committed)
    watchers.notify()
    return ImportOutcome(version: version, isNew: true, ignored: draft.ignored)
  }

  /// Gives a name without the alias `production` that alias, on the version it meant so far.
  private func keepMeaning(of name: String, _ database: Database, _ newest: UInt32) throws {
    let alias = ModelReference.productionAlias
    guard try catalogue.target(database, of: alias, of: name) == nil else { return }
    try catalogue.move(
      database,
      alias,
      of: name,
      to: newest,
      .register,
      historyMax: limits.aliasHistoryMax
    )
  }

  /// All versions there are; throws `resourceExhausted` if none may be added.
  func knownVersions(toAddTo name: String) throws(DataError) -> [ModelVersion] {
    let known = try catalogue.database.readBlocking("import") { try catalogue.versions($0) }
    guard known.count < limits.versionsMax else {
      throw DataError(
        .resourceExhausted,
        "import \(name): \(known.count) versions, at most \(limits.versionsMax)"
      )
    }
    return known
  }

  private func copyFiles(
    of source: ImportFolder,
    to staging: String
  ) throws(DataError) -> [StoredFile] {
    var files: [StoredFile] = []
    for name in source.names {
      let bytesMax = limits.bytesMax(of: name)
      let blobs = self.blobs
      let file = try source.withFile(name) {
        (descriptor, bytes) throws(DataError) -> StoredFile in
        guard bytes <= bytesMax else {
          throw DataError(
            .resourceExhausted,
            "import \(source.path): \(name): \(bytes) bytes, more than \(bytesMax)"
          )
        }
        return try blobs.copy(
          descriptor,
          named: name,
          expectedBytes: bytes,
          to: "\(staging)/\(name)"
        )
      }
      files.append(file)
      onStep(.fileCopied)
    }
    return files
  }

  /// Builds the version's folder out of links to the blobs and moves it into its place at once.
  private func place(_ version: ModelVersion, staging: String) throws(DataError) {
    let built = "\(staging)/version"
    try FileSystem.createDirectory(built)
    for file in version.files {
      _ = try FileSystem.link(layout.blob(file.sha256), as: "\(built)/\(file.name)")
    }
    try FileSystem.syncDirectory(built)
    onStep(.versionBuilt)
    let parent = "\(layout.models)/\(version.name)"
    try FileSystem.createDirectory(parent)
    try FileSystem.syncDirectory(layout.models)
    // A folder there was never registered: the rest of an import whose transaction failed.
    try FileSystem.removeTree(version.path)
    try FileSystem.rename(built, to: version.path)
    try FileSystem.syncDirectory(parent)
    onStep(.versionPlaced)
  }

  /// Makes every file of a registered version a link to its blob again, where it is not.
  private func relink(_ version: ModelVersion, staging: String) throws(DataError) {
    try FileSystem.createDirectories(version.path)
    var isChanged = false
    for file in version.files {
      let path = "\(version.path)/\(file.name)"
      let blob = layout.blob(file.sha256)
      // A blob of another version may be damaged still: that version is not the one imported.
      guard let expected = try FileSystem.status(blob) else { continue }
      if try FileSystem.status(path)?.identity == expected.identity { continue }
      let temporary = "\(staging)/link"
      try FileSystem.removeTree(temporary)
      _ = try FileSystem.link(blob, as: temporary)
      try FileSystem.rename(temporary, to: path)
      isChanged = true
    }
    if isChanged { try FileSystem.syncDirectory(version.path) }
  }
}
