import Foundation
import RPC
import ServiceAPI
import Testing

@testable import ModelAccess

@Suite("Files of a model")
struct ModelFilesTests {
  /// SHA-256 of "abc", FIPS 180-2 appendix B.1.
  private let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

  private func version(in folder: URL, sha256: String) -> RegistryV1.ModelVersion {
    var file = RegistryV1.ModelFile()
    file.name = "config.json"
    file.sha256 = sha256
    var version = RegistryV1.ModelVersion()
    version.name = "chat"
    version.version = 3
    version.path = folder.path
    version.files = [file]
    return version
  }

  @Test("a file with another digest, or none, is refused by its name")
  func verifies() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let good = version(in: folder, sha256: digest)
    let missing = #expect(throws: RPCError.self) { try ModelFiles.verify(good) }
    #expect(missing?.code == .dataLoss)
    try Data("abc".utf8).write(to: folder.appending(path: "config.json"))
    try ModelFiles.verify(good)
    let bad = version(in: folder, sha256: String(digest.reversed()))
    let error = #expect(throws: RPCError.self) { try ModelFiles.verify(bad) }
    #expect(error?.message.contains("model chat@3: the file config.json has the SHA-256") == true)
    try ModelFiles.verify(bad) { $0 != "config.json" }
  }

  @Test("what is no file is refused at once", .timeLimit(.minutes(5)))
  func notFiles() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = folder.appending(path: "config.json").path
    let version = version(in: folder, sha256: digest)
    try Data("abc".utf8).write(to: folder.appending(path: "real"))
    let substitutes: [() throws -> Void] = [
      { try #require(mkfifo(path, 0o600) == 0) },
      { try #require(symlink("/dev/zero", path) == 0) },
      { try #require(symlink("real", path) == 0) },
      { try #require(mkdir(path, 0o700) == 0) },
    ]
    for substitute in substitutes {
      try substitute()
      let error = #expect(throws: RPCError.self) { try ModelFiles.verify(version) }
      #expect(error?.code == .dataLoss)
      #expect(error?.message.contains("config.json cannot be read") == true)
      try #require(remove(path) == 0)
    }
  }
}
