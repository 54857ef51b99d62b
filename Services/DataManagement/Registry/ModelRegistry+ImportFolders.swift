import Files
package import Store

/// What became of one folder among those imported together.
package struct FolderImport: Sendable {
  /// What was done.
  package enum Result: Sendable {
    /// It is registered now.
    case imported(ModelVersion)
    /// A model of its name was registered before; the folder was not read.
    case present
    /// It is no sound model, or could not be stored.
    case refused(DataError)
  }

  /// The folder's name, which is the model's.
  package let name: String
  /// What was done.
  package let result: Result
}

extension ModelRegistry {
  /// Imports every folder inside a directory whose name is not registered yet, in the order of their names.
  ///
  /// A folder that is refused does not stop the others. Hidden folders and files are passed over.
  ///
  /// - Parameters:
  ///   - directory: the absolute path of the directory.
  ///   - report: called after each folder.
  /// - Throws: `notFound` or what else keeps the directory from being listed, and `cancelled`.
  package func importFolders(
    in directory: String,
    report: (FolderImport) -> Void
  ) async throws(DataError) {
    let limits = self.limits
    let names = try await importWorker.run { () throws(DataError) -> [String] in
      var names: [String] = []
      for name in try FileSystem.entries(of: directory, limit: limits.folderEntriesMax)
      where !name.hasPrefix(".") {
        guard let path = try? FileSystem.canonicalPath("\(directory)/\(name)") else { continue }
        if try FileSystem.status(path)?.kind == .directory { names.append(name) }
      }
      return names
    }
    let present = Set(try await listModels().map(\.name))
    for name in names {
      guard !present.contains(name) else {
        report(FolderImport(name: name, result: .present))
        continue
      }
      do {
        let outcome = try await importModel(folder: "\(directory)/\(name)", name: name)
        report(FolderImport(name: name, result: .imported(outcome.version)))
      } catch {
        if error.code == .cancelled { throw error }
        report(FolderImport(name: name, result: .refused(error)))
      }
    }
  }
}
