import Databases
import Files
package import Store

extension ModelRegistry {
  /// Removes the version folders that the catalogue does not know; returns how many.
  static func sweep(
    _ layout: StoreLayout,
    keeping versions: [ModelVersion]
  ) throws(DataError) -> Int {
    var removed = 0
    let known = Set(versions.map(\.path))
    let names = Set(versions.map(\.name))
    for name in try FileSystem.directories(in: layout.models) {
      let parent = "\(layout.models)/\(name)"
      for number in try FileSystem.entries(of: parent) where !known.contains("\(parent)/\(number)")
      {
        try FileSystem.removeTree("\(parent)/\(number)")
        removed += 1
      }
      if !names.contains(name) { try FileSystem.removeTree(parent) }
    }
    return removed
  }

  /// Throws `dataLoss` naming the first file of a version's folder that is missing or has another size.
  static func checkSizes(of version: ModelVersion) throws(DataError) {
    for file in version.files {
      let status = try FileSystem.status("\(version.path)/\(file.name)")
      guard let status, status.kind == .file else {
        throw loss(of: file, in: version, "missing")
      }
      guard status.sizeBytes == file.sizeBytes else {
        throw loss(of: file, in: version, "\(status.sizeBytes) bytes instead of \(file.sizeBytes)")
      }
    }
  }

  private static func loss(
    of file: StoredFile,
    in version: ModelVersion,
    _ reason: String
  ) -> DataError {
    DataError(
      .dataLoss,
      "model \(version.name)@\(version.version): \(file.name): \(reason); "
        + "importing its folder again repairs it"
    )
  }

  /// What is wrong with a version's link to a sound blob; nil if nothing is.
  static func linkDamage(
    of file: StoredFile,
    in version: ModelVersion,
    blobs: BlobDirectory
  ) throws(DataError) -> String? {
    guard let link = try FileSystem.status("\(version.path)/\(file.name)") else {
      return "missing in the version's folder"
    }
    let blob = try FileSystem.status(blobs.layout.blob(file.sha256))
    return link.identity == blob?.identity ? nil : "not the registered file"
  }

  /// What contradicts the store's invariants, for tests; empty if all is well.
  ///
  /// Blocks. Every file of every version is a link to a sound blob; nothing else lies in `models`, `blobs` and
  /// `staging`.
  package func inconsistencies() throws(DataError) -> [String] {
    let versions = try catalogue.database.readBlocking("check") { try catalogue.versions($0) }
    var found: [String] = []
    for version in versions {
      if version.digest != ModelVersion.digest(of: version.files) {
        found.append("\(version.path): the digest is not that of its files")
      }
      for file in version.files {
        if let damage = try blobs.damage(of: file) {
          found.append("\(file.sha256): \(damage)")
        } else if let damage = try Self.linkDamage(of: file, in: version, blobs: blobs) {
          found.append("\(version.path)/\(file.name): \(damage)")
        }
      }
      let names = try FileSystem.entries(of: version.path)
      if names != version.files.map(\.name).sorted() {
        found.append("\(version.path): holds \(names)")
      }
    }
    let digests = Set(versions.flatMap { $0.files.map(\.sha256) })
    for shard in try FileSystem.directories(in: layout.blobs) {
      for name in try FileSystem.entries(of: "\(layout.blobs)/\(shard)")
      where !digests.contains(name) {
        found.append("\(name): a blob of no version")
      }
    }
    let paths = Set(versions.map(\.path))
    for name in try FileSystem.directories(in: layout.models) {
      for number in try FileSystem.entries(of: "\(layout.models)/\(name)")
      where !paths.contains("\(layout.models)/\(name)/\(number)") {
        found.append("\(name)/\(number): not registered")
      }
    }
    for name in try FileSystem.entries(of: layout.staging) { found.append("staging/\(name)") }
    return found
  }
}
