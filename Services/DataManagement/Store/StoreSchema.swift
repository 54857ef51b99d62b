package import Databases
package import GRDB

/// What one module keeps in the store.
package struct StoreSchema: Sendable {
  /// The history of its tables.
  package let migrations: [StoreMigration]
  /// The SHA-256 of all blobs its rows refer to; others are removed at start.
  package let blobsInUse: @Sendable (Database) throws -> Set<String>

  /// A schema from its parts.
  package init(
    migrations: [StoreMigration],
    blobsInUse: @escaping @Sendable (Database) throws -> Set<String>
  ) {
    self.migrations = migrations
    self.blobsInUse = blobsInUse
  }
}
