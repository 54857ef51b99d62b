package import Databases
import Files

/// The store of the data-management service: one folder with a database and blobs, owned by one process.
///
/// The modules of the service share it: each brings its schema, and works on the database and the blobs. All
/// functions may be called from any task at any time.
package final class DataStore: Sendable {
  /// Where things lie.
  package let layout: StoreLayout
  /// The metadata.
  package let database: StoreDatabase<DataError>
  /// The contents.
  package let blobs: BlobDirectory
  /// What the start removed.
  package let swept: StoreSweep
  private let lock: FileLock<DataError>

  /// Opens the store in a folder, creating it if missing, and removes what a crash left behind: what is in
  /// `staging`, and the blobs that no schema refers to.
  ///
  /// Blocks on file work: `open` is for callers on the cooperative pool.
  ///
  /// - Parameters:
  ///   - directory: the store's folder.
  ///   - schemas: those of all modules that use this store, in the same order at all times.
  ///   - busyMilliseconds: how long a statement waits for a lock on the database.
  /// - Throws: `failedPrecondition` if another process owns the store, `dataLoss` if the database is damaged
  ///   or missing while there are blobs.
  package init(
    directory: String,
    schemas: [StoreSchema],
    busyMilliseconds: Int = 5_000
  ) throws(DataError) {
    let layout = try StoreLayout.create(in: directory)
    guard let lock = try FileLock<DataError>.acquire(layout.lock) else {
      throw DataError(
        .failedPrecondition,
        "open the registry: another process owns the store (\(layout.lock) is locked)"
      )
    }
    self.lock = lock
    let blobs = BlobDirectory(layout: layout)
    // The sweep would take every blob for a leftover: without the database nothing says otherwise.
    if try FileSystem.status(layout.database) == nil, try !blobs.isEmpty() {
      throw DataError(
        .dataLoss,
        "open \(layout.root): registry.sqlite is missing but there are blobs; "
          + "restore it, or move the folder away to start anew"
      )
    }
    database = try StoreDatabase(
      path: layout.database,
      label: "llmos.data",
      migrations: schemas.flatMap(\.migrations),
      busyMilliseconds: busyMilliseconds
    )
    var swept = StoreSweep()
    for name in try FileSystem.entries(of: layout.staging) {
      try FileSystem.removeTree("\(layout.staging)/\(name)")
      swept.staged += 1
    }
    let used = try database.readBlocking("open \(layout.root)") { database in
      try schemas.reduce(into: Set<String>()) { $0.formUnion(try $1.blobsInUse(database)) }
    }
    swept.blobs = try blobs.sweep(keeping: used)
    self.layout = layout
    self.blobs = blobs
    self.swept = swept
  }

  /// As the initializer, on a thread where blocking is fine.
  package static func open(
    directory: String,
    schemas: [StoreSchema]
  ) async throws(DataError) -> DataStore {
    try await BlockingWorker(label: "open", pendingMax: 1).run { () throws(DataError) in
      try DataStore(directory: directory, schemas: schemas)
    }
  }

  /// Closes the database once running reads and writes have ended; later calls throw.
  ///
  /// The store stays locked until the object is released.
  package func close() async throws(DataError) {
    let database = self.database
    try await BlockingWorker(label: "close", pendingMax: 1).run { () throws(DataError) in
      try database.close()
    }
  }
}

/// What the start of a store removed: leftovers of work that a crash cut short.
package struct StoreSweep: Sendable, Equatable {
  /// Imports under way.
  package var staged = 0
  /// Blobs that nothing refers to.
  package var blobs = 0

  /// Whether anything was removed.
  package var isEmpty: Bool { self == StoreSweep() }
}
