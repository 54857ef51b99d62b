import Databases
import Files
package import Store
import Synchronization

/// The datasets of the service: immutable versions in a content-addressed store.
///
/// All functions may be called from any task at any time. File work runs on queues of its own, never on a
/// thread of the cooperative pool. A crash at any point of an import or split leaves the state before or
/// after it.
package final class DatasetStore: Sendable {
  /// What datasets keep in a store.
  package static let schema = DatasetCatalogue.schema

  /// The store they are in.
  package let store: DataStore
  let limits: DatasetLimits
  let catalogue: DatasetCatalogue
  let onStep: @Sendable (DatasetStep) -> Void
  private let state = Mutex(State())

  private struct State {
    var writers = 0
    var readers = 0
    var staged = 0
    var counters = DatasetCounters()
  }

  /// The datasets in a store that was opened with their schema.
  ///
  /// - Parameters:
  ///   - store: the store.
  ///   - limits: the named bounds.
  ///   - onStep: called, synchronously, as a version is made.
  package init(
    store: DataStore,
    limits: DatasetLimits = DatasetLimits(),
    onStep: @escaping @Sendable (DatasetStep) -> Void = { _ in }
  ) {
    self.store = store
    self.limits = limits
    self.onStep = onStep
    catalogue = DatasetCatalogue(database: store.database)
  }

  /// What was done since the start, for metrics.
  package var counters: DatasetCounters { state.withLock { $0.counters } }

  /// Changes the counters at once.
  func count(_ change: (inout DatasetCounters) -> Void) {
    state.withLock { change(&$0.counters) }
  }

  /// All versions by name and version, without labels; splits have rows, tokens and bytes.
  package func list() async throws(DataError) -> [DatasetVersion] {
    let catalogue = self.catalogue
    return try await catalogue.database.read("list datasets") { try catalogue.summaries($0) }
  }

  /// What `name` (the newest version) or `name@version` means.
  ///
  /// - Throws: `invalidArgument` for text that is no reference, `notFound`.
  package func resolve(_ reference: String) async throws(DataError) -> DatasetVersion {
    let reference = try DatasetReference(parsing: reference)
    let catalogue = self.catalogue
    return try await catalogue.database.read("dataset \(reference.name)") {
      try catalogue.resolve($0, reference)
    }
  }

  /// Removes the version that `name@version` names; its number is not used again.
  ///
  /// Reads under way go on. The blobs are removed when the store is opened next.
  package func delete(_ reference: String) async throws(DataError) {
    let reference = try DatasetReference(parsing: reference)
    guard reference.version != nil else {
      throw DataError(
        .invalidArgument,
        "delete \(reference.name): name the version, as in \(reference.name)@1"
      )
    }
    let catalogue = self.catalogue
    try await catalogue.database.write("delete \(reference.name)") {
      try catalogue.delete($0, reference)
    }
  }

  /// Claims one of the writers' places and a folder in staging; released by `releaseWriter`.
  func claimWriter(_ operation: String) throws(DataError) -> String {
    let number = state.withLock { state -> Int? in
      guard state.writers < limits.writersMax else { return nil }
      state.writers += 1
      state.staged += 1
      return state.staged
    }
    guard let number else {
      throw DataError(
        .resourceExhausted,
        "\(operation): \(limits.writersMax) imports and splits are under way"
      )
    }
    return "\(store.layout.staging)/dataset-\(number)"
  }

  func releaseWriter() { state.withLock { $0.writers -= 1 } }

  func claimReader(_ operation: String) throws(DataError) {
    let isAdmitted = state.withLock { state -> Bool in
      guard state.readers < limits.readersMax else { return false }
      state.readers += 1
      return true
    }
    guard isAdmitted else {
      throw DataError(
        .resourceExhausted,
        "\(operation): \(limits.readersMax) reads are under way"
      )
    }
  }

  func releaseReader() { state.withLock { $0.readers -= 1 } }

  /// Registers what a writer wrote: the last step, after which the version is there.
  func commit(
    _ draft: DatasetVersion
  ) throws(DataError) -> (version: DatasetVersion, isNew: Bool) {
    let (catalogue, limits) = (catalogue, limits)
    let result = try catalogue.database.writeBlocking("dataset \(draft.name)") {
      try catalogue.insert($0, draft, versionsMax: limits.versionsMax)
    }
    onStep(.committed)
    return result
  }

  /// What contradicts the store's invariants, for tests; empty if all is well.
  ///
  /// Blocks. Every shard and index is a sound blob, and every split's rows have its digest.
  package func inconsistencies() throws(DataError) -> [String] {
    let (catalogue, store) = (catalogue, store)
    let versions = try catalogue.database.readBlocking("check datasets") { database in
      try catalogue.summaries(database).map {
        try catalogue.resolve(database, DatasetReference(parsing: $0.reference))
      }
    }
    var found: [String] = []
    for version in versions {
      for file in version.shards + version.splits.map(\.index) {
        if let damage = try store.blobs.damage(of: file) {
          found.append("\(version.reference): \(file.name): \(damage)")
        }
      }
      if version.digest != DatasetVersion.digest(of: version.splits) {
        found.append("\(version.reference): the digest is not that of its splits")
      }
    }
    for name in try FileSystem.entries(of: store.layout.staging) where name.hasPrefix("dataset-") {
      found.append("staging/\(name)")
    }
    return found
  }
}

/// Figures for metrics.
package struct DatasetCounters: Sendable, Equatable {
  /// Imports since the start that added a version.
  package var importsAdded = 0
  /// Imports since the start that found their content there already.
  package var importsUnchanged = 0
  /// Imports since the start that failed or were refused for their rows.
  package var importsFailed = 0
  /// Rows sent to readers since the start.
  package var rowsRead: UInt64 = 0
}
