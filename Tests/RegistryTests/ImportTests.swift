import Foundation
import Registry
import Store
import Testing

@Suite struct ImportTests {
  @Test func `A folder becomes version 1 under its own name, with sizes and digests`() async throws
  {
    let temporary = try TemporaryStore()
    let registry = try temporary.open()
    let folder = try temporary.folder("tiny", weights: "abc")
    let outcome = try await registry.importModel(folder: folder)

    #expect(outcome.isNew)
    let version = outcome.version
    #expect(version.name == "tiny")
    #expect(version.version == 1)
    #expect(version.files.map(\.name) == ["config.json", "model.safetensors", "tokenizer.json"])
    // `printf abc | sha256sum`, and the lines of `sha256sum *` hashed again.
    let weights = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    #expect(version.files[1].sha256 == weights)
    #expect(version.files[1].sizeBytes == 3)
    #expect(version.digest == "58aa165dcd563495861ac19d5083f2a9ae5d922df813a488b530eb9cee8730f8")
    #expect(version.path == "\(registry.directory)/models/tiny/1")
    #expect(
      try String(contentsOfFile: "\(version.path)/model.safetensors", encoding: .utf8) == "abc"
    )
    #expect(try registry.inconsistencies().isEmpty)
    #expect(registry.counters.models == 1)
    #expect(registry.counters.importsAdded == 1)
  }

  @Test func `Only files of the layout are taken`() async throws {
    let temporary = try TemporaryStore()
    let registry = try temporary.open()
    let taken = [
      "LICENSE", "LICENSE-apache.txt", "NOTICE.md", "README.md", "chat_template.jinja",
      "generation_config.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json",
      "vocab.json", "vocab.txt",
    ]
    let ignored = [".gitattributes", "LICENSE of x", "golden.json", "pytorch_model.bin", "run.sh"]
    let more = Dictionary(uniqueKeysWithValues: (taken + ignored).map { ($0, "x") })
    let folder = try temporary.folder("tiny", more: more)
    try FileManager.default.createDirectory(
      atPath: "\(folder)/onnx",
      withIntermediateDirectories: true
    )

    let outcome = try await registry.importModel(folder: folder)
    let expected = (taken + ["config.json", "model.safetensors", "tokenizer.json"]).sorted()
    #expect(outcome.version.files.map(\.name) == expected)
    #expect(try names(in: outcome.version.path) == expected)
    #expect(outcome.ignored == (ignored + ["onnx"]).sorted())
  }

  @Test func `The same content again returns the same version`() async throws {
    let temporary = try TemporaryStore()
    let registry = try temporary.open()
    let folder = try temporary.folder("tiny")
    let first = try await registry.importModel(folder: folder)
    let copy = try temporary.folder("copy", more: ["golden.json": "not taken"])
    let second = try await registry.importModel(folder: copy, name: "tiny")
    #expect(!second.isNew)
    #expect(second.version == first.version)
    #expect(try await registry.listModels().count == 1)
    #expect(registry.counters.importsUnchanged == 1)
  }

  @Test func `Other content is the next version, and equal files are stored once`() async throws {
    let temporary = try TemporaryStore()
    let registry = try temporary.open()
    _ = try await registry.importModel(folder: temporary.folder("tiny", weights: "one"))
    let second = try await registry.importModel(folder: temporary.folder("tiny", weights: "two"))
    let other = try await registry.importModel(folder: temporary.folder("other", weights: "two"))
    #expect(second.version.version == 2)
    #expect(other.version.version == 1)
    #expect(second.version.digest == other.version.digest)
    let versions = try await registry.listModels()
    #expect(versions.map { "\($0.name)@\($0.version)" } == ["other@1", "tiny@1", "tiny@2"])
    // {} twice, one, two.
    #expect(Set(versions.flatMap { $0.files.map(\.sha256) }).count == 3)
    #expect(try registry.inconsistencies().isEmpty)
    #expect(registry.counters.models == 2)
    #expect(registry.counters.versions == 3)
  }

  @Test(arguments: ["config.json", "model.safetensors", "tokenizer.json"])
  func `A missing file is named`(file: String) async throws {
    let temporary = try TemporaryStore()
    let registry = try temporary.open()
    let folder = try temporary.folder("tiny")
    try FileManager.default.removeItem(atPath: "\(folder)/\(file)")
    let error = try await failure { _ = try await registry.importModel(folder: folder) }
    #expect(error.code == .failedPrecondition)
    #expect(error.message.contains("\(file) is missing"))
    #expect(registry.counters.importsFailed == 1)
  }

  @Test func `A relative path, a missing folder, a file and a bad name are refused`() async throws {
    let temporary = try TemporaryStore()
    let registry = try temporary.open()
    let folder = try temporary.folder("tiny")
    let cases: [(String, String?, DataError.Code)] = [
      ("tiny", nil, .invalidArgument), ("", nil, .invalidArgument),
      ("\(temporary.root)/none", nil, .notFound),
      ("\(folder)/config.json", nil, .failedPrecondition),
      (folder, "../up", .invalidArgument), (folder, "Upper", .invalidArgument),
      (try temporary.folder("Bad Name"), nil, .invalidArgument),
    ]
    for (path, name, code) in cases {
      let error = try await failure { _ = try await registry.importModel(folder: path, name: name) }
      #expect(error.code == code, "\(path) \(name ?? "")")
    }
    #expect(try await registry.listModels().isEmpty)
    #expect(try registry.inconsistencies().isEmpty)
  }

  @Test func `A symbolic link is followed within the folder only`() async throws {
    let temporary = try TemporaryStore()
    let registry = try temporary.open()
    let folder = try temporary.folder("tiny", more: ["real.bin": "linked"])
    let weights = "\(folder)/model.safetensors"
    try FileManager.default.removeItem(atPath: weights)
    try FileManager.default.createSymbolicLink(atPath: weights, withDestinationPath: "real.bin")
    let outcome = try await registry.importModel(folder: folder)
    #expect(outcome.version.files[1].sizeBytes == 6)

    for target in ["../secret", "/etc/passwd", "../tiny-not/../secret", "nowhere"] {
      try write("secret", to: "\(temporary.root)/secret")
      try FileManager.default.removeItem(atPath: weights)
      try FileManager.default.createSymbolicLink(atPath: weights, withDestinationPath: target)
      let error = try await failure { _ = try await registry.importModel(folder: folder) }
      #expect(error.code == .failedPrecondition)
      #expect(error.message.contains("model.safetensors"))
    }
    #expect(try await registry.listModels().count == 1)
    #expect(try registry.inconsistencies().isEmpty)
  }

  @Test func `A folder or a pipe in place of a file is refused, without waiting for it`()
    async throws
  {
    let temporary = try TemporaryStore()
    let registry = try temporary.open()
    let folder = try temporary.folder("tiny")
    let path = "\(folder)/tokenizer_config.json"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    var error = try await failure { _ = try await registry.importModel(folder: folder) }
    #expect(error.message.hasSuffix("tokenizer_config.json: not a regular file"))
    try FileManager.default.removeItem(atPath: path)
    #expect(mkfifo(path, 0o600) == 0)
    error = try await failure { _ = try await registry.importModel(folder: folder) }
    #expect(error.message.hasSuffix("tokenizer_config.json: not a regular file"))
  }

  @Test func `What exceeds a limit is refused with the limit`() async throws {
    let temporary = try TemporaryStore()
    var limits = RegistryLimits()
    limits.otherFileBytesMax = 10
    limits.folderEntriesMax = 5
    limits.versionsMax = 1
    let registry = try temporary.open(limits)
    let large = try temporary.folder("large", more: ["README.md": "more than ten bytes"])
    var error = try await failure { _ = try await registry.importModel(folder: large) }
    #expect(error.code == .resourceExhausted)
    #expect(error.message.contains("README.md: 19 bytes, more than 10"))
    let many = try temporary.folder("many", more: ["a": "", "b": "", "c": ""])
    error = try await failure { _ = try await registry.importModel(folder: many) }
    #expect(error.code == .resourceExhausted)
    _ = try await registry.importModel(folder: try temporary.folder("one"))
    let two = try temporary.folder("two")
    error = try await failure { _ = try await registry.importModel(folder: two) }
    #expect(error.code == .resourceExhausted)
    #expect(try registry.inconsistencies().isEmpty)
  }

  @Test func `Imports at the same time are all registered once`() async throws {
    let temporary = try TemporaryStore()
    let registry = try temporary.open()
    let folders = try (0..<4).map { try temporary.folder("tiny-\($0)", weights: "weights \($0)") }
    try await withThrowingTaskGroup { group in
      for folder in folders + folders + folders {
        group.addTask { _ = try await registry.importModel(folder: folder, name: "tiny") }
      }
      try await group.waitForAll()
    }
    let versions = try await registry.listModels()
    #expect(versions.map(\.version) == [1, 2, 3, 4])
    #expect(Set(versions.map(\.digest)).count == 4)
    #expect(registry.counters.importsUnchanged == 8)
    #expect(try registry.inconsistencies().isEmpty)
  }

  @Test func `Too many waiting imports are refused`() async throws {
    let temporary = try TemporaryStore()
    var limits = RegistryLimits()
    limits.importsPendingMax = 0
    let registry = try temporary.open(limits)
    let folder = try temporary.folder("tiny")
    let error = try await failure { _ = try await registry.importModel(folder: folder) }
    #expect(error.code == .resourceExhausted)
  }

  @Test func `A cancelled import leaves nothing`() async throws {
    let temporary = try TemporaryStore()
    let folder = try temporary.folder("tiny")
    let registry = try ModelRegistry(
      directory: temporary.store,
      inspector: .accepting,
      onStep: { if $0 == .begun { withUnsafeCurrentTask { $0?.cancel() } } }
    )
    let task = Task { try await registry.importModel(folder: folder) }
    let error = try await failure { _ = try await task.value }
    #expect(error.code == .cancelled)
    #expect(try await registry.listModels().isEmpty)
    #expect(try registry.inconsistencies().isEmpty)
  }
}
