import Foundation
import Registry
import Store
import Testing

@Suite struct UploadTests {
  @Test func `Uploaded files become a version with metrics and lineage`() async throws {
    let temporary = try TemporaryStore()
    let registry = try temporary.open()
    let outcome = try await registry.upload(UploadedFile.model("one"), lineage: .sample)
    let version = outcome.version
    #expect(outcome.isNew)
    #expect(version.version == 1)
    #expect(version.files.map(\.name) == ["config.json", "model.safetensors", "tokenizer.json"])
    #expect(
      version.metrics == [.init(name: "test_f1", value: 0.7557), .init(name: "loss", value: 1)]
    )
    #expect(version.lineage == .sample)
    #expect(
      try String(contentsOfFile: "\(version.path)/model.safetensors", encoding: .utf8) == "one"
    )
    #expect(try await registry.resolve("tiny") == version)
    #expect(try registry.inconsistencies().isEmpty)
    try await registry.close()
  }

  @Test func `The same files are the version that is there, with its lineage`() async throws {
    let temporary = try TemporaryStore()
    let registry = try temporary.open()
    let first = try await registry.upload(UploadedFile.model("one"), lineage: .sample)
    let again = try await registry.upload(UploadedFile.model("one"))
    #expect(!again.isNew)
    #expect(again.version == first.version)
    // A folder with the same files too.
    let folder = try temporary.folder("tiny", weights: "one")
    #expect(try await registry.importModel(folder: folder).version == first.version)
  }

  @Test func `What a bare name means is not changed by an upload`() async throws {
    let temporary = try TemporaryStore()
    let registry = try temporary.open()
    let first = try await registry.importModel(folder: temporary.folder("tiny", weights: "one"))
    _ = try await registry.upload(UploadedFile.model("two"))
    #expect(try await registry.resolve("tiny").version == first.version.version)
    #expect(try await registry.resolve("tiny@2").aliases.isEmpty)
    let history = try await registry.model("tiny").history
    #expect(history.map(\.action) == [.register])
    #expect(try await registry.promote("tiny").version == 2)
    #expect(try await registry.rollback("tiny").version == 1)
  }

  @Test func `Files that are not as announced are refused, and nothing is left`() async throws {
    let temporary = try TemporaryStore()
    let registry = try temporary.open()
    let model = UploadedFile.model("one")
    var short = model
    short[1].sizeBytes += 1
    var long = model
    long[1].sizeBytes -= 1
    var wrong = model
    wrong[0].sha256 = String(repeating: "0", count: 64)
    var foreign = model
    foreign[0].name = "../../config.json"
    let cases: [([UploadedFile], DataError.Code)] = [
      (short, .failedPrecondition), (long, .failedPrecondition), (wrong, .failedPrecondition),
      (foreign, .failedPrecondition), (model + [model[0]], .invalidArgument),
      (Array(model.dropLast()), .failedPrecondition), ([], .failedPrecondition),
    ]
    for (files, code) in cases {
      let error = try await failure { _ = try await registry.upload(files) }
      #expect(error.code == code, "\(error)")
    }
    #expect(try await registry.listModels().isEmpty)
    #expect(registry.counters.importsFailed >= 5)
    let strict = try TemporaryStore()
    let other = try strict.openStrict()
    let error = try await failure { _ = try await other.upload(model) }
    #expect(error.code == .failedPrecondition)
    #expect(error.message.hasPrefix("register tiny: "))
  }

  @Test func `Files that are not of the layout are left out`() async throws {
    let temporary = try TemporaryStore()
    let registry = try temporary.open()
    let files = [
      UploadedFile("../report.json", "{}", sha256: "?"), UploadedFile("log.txt", "x", sha256: "?"),
    ]
    let outcome = try await registry.upload(files + UploadedFile.model("one"))
    #expect(outcome.version.files.count == 3)
    #expect(outcome.ignored == ["../report.json", "log.txt"])
    #expect(try registry.inconsistencies().isEmpty)
  }

  @Test func `Names, metrics and lineage are checked before anything is sent`() throws {
    let temporary = try TemporaryStore()
    var limits = RegistryLimits()
    limits.uploadsMax = 1
    let registry = try temporary.open(limits)
    var lineage = ModelLineage()
    lineage.configurationJSON = "[1]"
    for (name, metrics, lineage) in [
      ("A", [], nil), ("a", [ModelMetric(name: "", value: 1)], nil),
      ("a", [ModelMetric(name: "x", value: .nan)], nil),
      ("a", [ModelMetric(name: "x", value: 1), ModelMetric(name: "x", value: 2)], nil),
      ("a", [], lineage),
    ] as [(String, [ModelMetric], ModelLineage?)] {
      let error = #expect(throws: DataError.self) {
        _ = try registry.beginUpload(name: name, metrics: metrics, lineage: lineage)
      }
      #expect(error?.code == .invalidArgument)
    }
    let held = try registry.beginUpload(name: "a")
    let error = #expect(throws: DataError.self) { _ = try registry.beginUpload(name: "a") }
    #expect(error?.code == .resourceExhausted)
    withExtendedLifetime(held) {}
  }
}

/// A process that receives a version is killed; what it leaves is opened again.
@Suite(.serialized) struct UploadCrashTests {
  /// Steps of one upload: begun, 3 files, validated, 3 blobs, version built, placed, committed, cleaned.
  static let stepCount = 12

  @Test(arguments: 1...stepCount)
  func `Killed at any step, the store is in the state before or after the upload`(
    step: Int
  ) async throws {
    let temporary = try TemporaryStore()
    do {
      let registry = try temporary.open()
      _ = try await registry.importModel(folder: temporary.folder("tiny", weights: "one"))
      try await registry.close()
    }
    let store = temporary.store
    await #expect(processExitsWith: .signal(SIGKILL)) {
      [store = store as String, step = step as Int] in
      let steps = Countdown(step)
      let registry = try ModelRegistry(
        directory: store,
        inspector: .accepting,
        onStep: { _ in if steps.isOver() { kill(getpid(), SIGKILL) } }
      )
      _ = try await registry.upload(UploadedFile.model("two"), lineage: .sample)
    }
    let registry = try temporary.open()
    #expect(try registry.inconsistencies().isEmpty)
    let isCommitted = step >= Self.stepCount - 1
    let versions = try await registry.listModels()
    #expect(versions.map(\.version) == (isCommitted ? [1, 2] : [1]))
    // The version, its lineage and the alias that keeps the name's meaning come together.
    #expect(versions.last?.lineage == (isCommitted ? .sample : nil))
    #expect(versions[0].aliases == (isCommitted ? ["production"] : []))
    #expect(try await registry.resolve("tiny").version == 1)
    let again = try await registry.upload(UploadedFile.model("two"), lineage: .sample)
    #expect(again.version.version == 2)
    #expect(again.isNew != isCommitted)
  }
}

/// A file of an upload, as it is announced and as it comes.
struct UploadedFile {
  var name: String
  var content: [UInt8]
  var sizeBytes: Int
  var sha256: String

  init(_ name: String, _ content: String, sha256: String) {
    (self.name, self.content, self.sha256) = (name, Array(content.utf8), sha256)
    sizeBytes = self.content.count
  }

  /// The files of a small model; `one` and `two` are known.
  static func model(_ weights: String) -> [UploadedFile] {
    let empty = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    let digests = [
      "one": "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
      "two": "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3",
    ]
    return [
      UploadedFile("config.json", "{}", sha256: empty),
      UploadedFile("model.safetensors", weights, sha256: digests[weights] ?? ""),
      UploadedFile("tokenizer.json", "{}", sha256: empty),
    ]
  }
}

extension ModelLineage {
  static var sample: ModelLineage {
    ModelLineage(
      dataset: "wikiann@1",
      datasetDigest: "d1",
      jobID: "job-1",
      baseModel: "minilm@1",
      baseModelDigest: "d2",
      configurationJSON: "{\"epochs\":3}"
    )
  }
}

extension ModelRegistry {
  /// Uploads files under the name `tiny`, in pieces of two bytes.
  func upload(
    _ files: [UploadedFile],
    lineage: ModelLineage? = nil
  ) async throws -> ImportOutcome {
    let upload = try beginUpload(
      name: "tiny",
      metrics: [ModelMetric(name: "test_f1", value: 0.7557), ModelMetric(name: "loss", value: 1)],
      lineage: lineage
    )
    for file in files {
      try await upload.startFile(
        StoredFile(name: file.name, sizeBytes: Int64(file.sizeBytes), sha256: file.sha256)
      )
      var rest = file.content[...]
      while !rest.isEmpty {
        try await upload.append(Array(rest.prefix(2)))
        rest = rest.dropFirst(2)
      }
    }
    return try await upload.finish()
  }
}

/// Counts down to zero; only one upload's steps use it, one after another.
private final class Countdown: @unchecked Sendable {
  private var rest: Int

  init(_ count: Int) { rest = count }

  func isOver() -> Bool {
    rest -= 1
    return rest == 0
  }
}
