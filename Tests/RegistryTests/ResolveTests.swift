import Foundation
import Registry
import Store
import Testing

@Suite struct ResolveTests {
  /// A registry with `tiny` in versions 1 to 3.
  private func threeVersions(_ temporary: TemporaryStore) async throws -> ModelRegistry {
    let registry = try temporary.open()
    for weights in ["one", "two", "three"] {
      _ = try await registry.importModel(folder: temporary.folder("tiny", weights: weights))
    }
    return registry
  }

  @Test func `A bare name is the newest version until production is set`() async throws {
    let temporary = try TemporaryStore()
    let registry = try await threeVersions(temporary)
    #expect(try await registry.resolve("tiny").version == 3)
    let moved = try await registry.setAlias("production", of: "tiny", to: 1)
    #expect(moved.version == 1)
    #expect(moved.aliases == ["production"])
    #expect(try await registry.resolve("tiny").version == 1)
    #expect(try await registry.resolve("tiny@2").version == 2)
    _ = try await registry.setAlias("production", of: "tiny", to: 2)
    #expect(try await registry.resolve("tiny").version == 2)
    #expect(try await registry.resolve("tiny@1").aliases.isEmpty)
    let removed = try await registry.setAlias("production", of: "tiny", to: nil)
    #expect(removed.version == 2)
    #expect(removed.aliases.isEmpty)
    #expect(try await registry.resolve("tiny").version == 3)
  }

  @Test func `Aliases belong to their model and are sorted`() async throws {
    let temporary = try TemporaryStore()
    let registry = try await threeVersions(temporary)
    _ = try await registry.importModel(folder: temporary.folder("other"))
    for alias in ["staging", "canary"] {
      _ = try await registry.setAlias(alias, of: "tiny", to: 2)
    }
    _ = try await registry.setAlias("staging", of: "other", to: 1)
    #expect(try await registry.resolve("tiny@canary").aliases == ["canary", "staging"])
    #expect(try await registry.resolve("other@staging").name == "other")
  }

  @Test func `What does not exist is not found, what is malformed invalid`() async throws {
    let temporary = try TemporaryStore()
    let registry = try await threeVersions(temporary)
    for (reference, code) in [
      ("none", DataError.Code.notFound), ("tiny@4", .notFound), ("tiny@beta", .notFound),
      ("tiny@", .invalidArgument), ("Tiny", .invalidArgument), ("", .invalidArgument),
    ] {
      let error = try await failure { _ = try await registry.resolve(reference) }
      #expect(error.code == code, "\(reference)")
    }
    var error = try await failure { _ = try await registry.setAlias("a", of: "none", to: 1) }
    #expect(error.code == .notFound)
    error = try await failure { _ = try await registry.setAlias("a", of: "tiny", to: 9) }
    #expect(error.code == .notFound)
    error = try await failure { _ = try await registry.setAlias("a", of: "tiny", to: nil) }
    #expect(error.code == .notFound)
    error = try await failure { _ = try await registry.setAlias("7", of: "tiny", to: 1) }
    #expect(error.code == .invalidArgument)
  }

  @Test func `A model has a limited number of aliases`() async throws {
    let temporary = try TemporaryStore()
    var limits = RegistryLimits()
    limits.aliasesMax = 2
    let registry = try temporary.open(limits)
    _ = try await registry.importModel(folder: temporary.folder("tiny"))
    _ = try await registry.setAlias("a", of: "tiny", to: 1)
    _ = try await registry.setAlias("b", of: "tiny", to: 1)
    _ = try await registry.setAlias("b", of: "tiny", to: 1)
    let error = try await failure { _ = try await registry.setAlias("c", of: "tiny", to: 1) }
    #expect(error.code == .resourceExhausted)
  }

  @Test func `A file that is missing or has another size is data loss, by name`() async throws {
    let temporary = try TemporaryStore()
    let registry = try await threeVersions(temporary)
    let version = try await registry.resolve("tiny@1")
    let path = "\(version.path)/tokenizer.json"
    try replace(path, with: Data("longer".utf8))
    var error = try await failure { _ = try await registry.resolve("tiny@1") }
    #expect(error.code == .dataLoss)
    #expect(error.message.contains("tiny@1: tokenizer.json: 6 bytes instead of 2"))
    try FileManager.default.removeItem(atPath: path)
    error = try await failure { _ = try await registry.resolve("tiny@1") }
    #expect(error.code == .dataLoss)
    #expect(error.message.contains("tokenizer.json: missing"))
    #expect(try await registry.resolve("tiny@2").version == 2)
  }

  @Test func `Verification names the files whose content changed`() async throws {
    let temporary = try TemporaryStore()
    let registry = try await threeVersions(temporary)
    let version = try await registry.resolve("tiny@1")
    #expect(try await registry.verify("tiny@1").damaged.isEmpty)
    // As long as before, so that only the digest shows it.
    try replace("\(version.path)/model.safetensors", with: Data("0ne".utf8))
    let digest = version.files[1].sha256
    try replace(
      "\(registry.directory)/blobs/sha256/\(digest.prefix(2))/\(digest)",
      with: Data("0ne".utf8)
    )
    let report = try await registry.verify("tiny@1")
    #expect(report.version.version == 1)
    #expect(report.damaged.map(\.name) == ["model.safetensors"])
    #expect(report.damaged.first?.reason.contains("SHA-256") == true)
  }

  @Test func `Importing a folder again repairs its damaged files in every version`() async throws {
    let temporary = try TemporaryStore()
    let registry = try await threeVersions(temporary)
    let version = try await registry.resolve("tiny@1")
    for file in ["tokenizer.json", "model.safetensors"] {
      // In place, as a failing disk would: link and blob are the same file.
      #expect(chmod("\(version.path)/\(file)", 0o600) == 0)
      try FileHandle(forWritingTo: URL(fileURLWithPath: "\(version.path)/\(file)"))
        .write(contentsOf: Data("#".utf8))
    }
    // config.json and tokenizer.json have the same content, hence the same blob.
    #expect(
      try await registry.verify("tiny@2").damaged.map(\.name) == ["config.json", "tokenizer.json"]
    )
    let again = try await registry.importModel(folder: temporary.folder("tiny", weights: "one"))
    #expect(!again.isNew)
    #expect(again.version == version)
    for reference in ["tiny@1", "tiny@2", "tiny@3"] {
      #expect(try await registry.verify(reference).damaged.isEmpty)
    }
    #expect(try registry.inconsistencies().isEmpty)
  }
}
