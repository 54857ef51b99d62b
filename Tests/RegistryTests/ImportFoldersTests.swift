import Foundation
import Registry
import Store
import Testing

@Suite struct ImportFoldersTests {
  private func importAll(
    _ registry: ModelRegistry,
    _ directory: String
  ) async throws -> [String] {
    var reports: [String] = []
    try await registry.importFolders(in: directory) { folder in
      switch folder.result {
      case .imported(let version): reports.append("\(folder.name) imported as \(version.version)")
      case .present: reports.append("\(folder.name) present")
      case .refused(let error): reports.append("\(folder.name) refused: \(error.code.rawValue)")
      }
    }
    return reports
  }

  @Test func `Every new folder is imported, and a bad one does not stop the others`() async throws {
    let temporary = try TemporaryStore()
    let registry = try temporary.open()
    for name in ["models/b", "models/a", "models/c", "models/.git", "models/Bad"] {
      _ = try temporary.folder(name, weights: name)
    }
    try FileManager.default.removeItem(atPath: "\(temporary.root)/models/a/config.json")
    try write("no folder", to: "\(temporary.root)/models/README.md")
    let models = "\(temporary.root)/models"
    #expect(
      try await importAll(registry, models) == [
        "Bad refused: invalidArgument", "a refused: failedPrecondition", "b imported as 1",
        "c imported as 1",
      ]
    )
    // A registered name is not looked at again, whatever its folder holds now.
    _ = try temporary.folder("models/b", weights: "changed")
    _ = try temporary.folder("models/a", weights: "repaired")
    #expect(
      try await importAll(registry, models) == [
        "Bad refused: invalidArgument", "a imported as 1", "b present", "c present",
      ]
    )
    #expect(try await registry.listModels().count == 3)
  }

  @Test func `A directory that is not there is not found`() async throws {
    let temporary = try TemporaryStore()
    let registry = try temporary.open()
    let error = try await failure {
      try await registry.importFolders(in: "\(temporary.root)/none") { _ in }
    }
    #expect(error.code == .notFound)
  }
}
