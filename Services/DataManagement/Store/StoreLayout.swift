import Files

/// Where everything lies in the store's folder.
///
/// ```
/// registry.sqlite                     which versions there are, their files and aliases
/// registry.lock                       held by the one process that owns the store
/// blobs/sha256/ab/abcdef…             file contents under their SHA-256, read-only
/// models/<name>/<version>/<file>      hard links to blobs: a version is a plain folder
/// staging/<number>/                   imports under way; emptied at start
/// ```
package struct StoreLayout: Sendable {
  /// The store's folder: absolute, without symbolic links.
  package let root: String

  /// The database.
  package var database: String { "\(root)/registry.sqlite" }
  /// The lock.
  package var lock: String { "\(root)/registry.lock" }
  /// The blobs.
  package var blobs: String { "\(root)/blobs/sha256" }
  /// The models' folders.
  package var models: String { "\(root)/models" }
  /// Work under way.
  package var staging: String { "\(root)/staging" }

  /// The blob of a digest.
  package func blob(_ sha256: String) -> String { "\(blobs)/\(sha256.prefix(2))/\(sha256)" }

  /// The folder of a version.
  package func version(_ version: UInt32, of name: String) -> String {
    "\(models)/\(name)/\(version)"
  }

  /// Creates the folders that are missing, and returns the layout.
  package static func create(in directory: String) throws(DataError) -> StoreLayout {
    try FileSystem.createDirectories(directory)
    let layout = StoreLayout(root: try FileSystem.canonicalPath(directory))
    try FileSystem.createDirectories(layout.blobs)
    try FileSystem.createDirectory(layout.models)
    try FileSystem.createDirectory(layout.staging)
    return layout
  }
}
