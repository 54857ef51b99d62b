import Datasets
import Foundation
import Store
import Testing

/// A process that imports or splits is killed; what it leaves is opened again.
@Suite(.serialized) struct CrashTests {
  /// Steps of the import in `DyingProcess`: begun, 3 shards, staged, 3 shards and 2 indexes adopted,
  /// committed, cleaned.
  static let importSteps = 12
  /// Steps of the split: begun, staged, 2 indexes adopted, committed, cleaned.
  static let splitSteps = 6

  @Test(arguments: 1...importSteps)
  func `Killed at any step of an import, the store is in the state before or after it`(
    step: Int
  ) async throws {
    let temporary = try TemporaryDatasets()
    try await begin(temporary)
    let directory = temporary.directory
    await #expect(processExitsWith: .signal(SIGKILL)) {
      [directory = directory as String, step = step as Int] in
      try await DyingProcess.importFiles(directory, killAtStep: step)
    }
    let store = try temporary.open()
    #expect(try store.inconsistencies().isEmpty)
    let isCommitted = step >= Self.importSteps - 1
    #expect(try await store.list().map(\.version) == (isCommitted ? [1, 2] : [1]))
    #expect(store.store.swept.isEmpty == (step == Self.importSteps))
    #expect(try await store.rows("set@1").count == 1)
    let outcome = try await store.importFiles(DyingProcess.files)
    #expect(outcome.version?.version == 2)
    #expect(outcome.isNew != isCommitted)
    #expect(try await store.rows("set@2").count == 300)
  }

  @Test(arguments: 1...splitSteps)
  func `Killed at any step of a split, the store is in the state before or after it`(
    step: Int
  ) async throws {
    let temporary = try TemporaryDatasets()
    do {
      let store = try temporary.open()
      _ = try await store.importFiles(DyingProcess.files)
      try await store.store.close()
    }
    let directory = temporary.directory
    await #expect(processExitsWith: .signal(SIGKILL)) {
      [directory = directory as String, step = step as Int] in
      try await DyingProcess.split(directory, killAtStep: step)
    }
    let store = try temporary.open()
    #expect(try store.inconsistencies().isEmpty)
    let isCommitted = step >= Self.splitSteps - 1
    #expect(try await store.list().map(\.version) == (isCommitted ? [1, 2] : [1]))
    let version = try await store.split("set@1", DyingProcess.shares)
    #expect(version.version == 2)
    #expect(try await store.rows("set@2", "dev").count == 155)
  }

  @Test(arguments: 0..<8)
  func `Killed at a random moment, the store is consistent and goes on`(round: Int) async throws {
    let temporary = try TemporaryDatasets()
    try await begin(temporary)
    let microseconds = Int.random(in: 0..<80_000)
    let directory = temporary.directory
    await #expect(processExitsWith: .signal(SIGKILL), "after \(microseconds) µs") {
      [directory = directory as String, microseconds = microseconds as Int] in
      try await DyingProcess.importForEver(directory, killAfter: microseconds)
    }
    let store = try temporary.open()
    #expect(try store.inconsistencies().isEmpty, "after \(microseconds) µs")
    let versions = try await store.list()
    #expect(versions.map { Int($0.version) } == Array(1...versions.count))
    for version in versions {
      let rows = try await store.rows(version.reference)
      #expect(rows.count == Int(version.statistics.rows))
    }
    #expect(Int(try await store.importText("z.txt", "z\n").version) == versions.count + 1)
  }

  private func begin(_ temporary: TemporaryDatasets) async throws {
    let store = try temporary.open()
    _ = try await store.importText("one.txt", "one\n")
    try await store.store.close()
  }
}

/// What runs in the process that is killed.
private enum DyingProcess {
  static var files: [TestFile] {
    [
      TestFile("a.txt", (0..<300).map { "row \($0)\n" }.joined()),
      TestFile("b.txt", (0..<10).map { "dev \($0)\n" }.joined(), split: "dev"),
    ]
  }

  static var shares: SplitOptions {
    SplitOptions(
      shares: [.init(name: "train", fraction: 0.5), .init(name: "dev", fraction: 0.5)],
      seed: 1
    )
  }

  private static func open(_ directory: String, killAtStep step: Int) throws -> DatasetStore {
    let steps = StepCounter()
    var limits = DatasetLimits()
    limits.shardBytesMax = 2_200
    return DatasetStore(
      store: try DataStore(directory: directory, schemas: [DatasetStore.schema]),
      limits: limits,
      onStep: { _ in if steps.next() == step { kill(getpid(), SIGKILL) } }
    )
  }

  static func importFiles(_ directory: String, killAtStep step: Int) async throws {
    _ = try await open(directory, killAtStep: step).importFiles(files)
  }

  static func split(_ directory: String, killAtStep step: Int) async throws {
    _ = try await open(directory, killAtStep: step).split("set@1", shares)
  }

  static func importForEver(_ directory: String, killAfter microseconds: Int) async throws {
    let store = try open(directory, killAtStep: .max)
    DispatchQueue.global().asyncAfter(deadline: .now() + .microseconds(microseconds)) {
      kill(getpid(), SIGKILL)
    }
    for number in 0..<1_000_000 {
      let text = (0..<200).map { "import \(number) row \($0)\n" }.joined()
      _ = try await store.importFiles([TestFile("a.txt", text)])
    }
  }
}

/// Counts the steps; only one import's queue uses it, one step after another.
private final class StepCounter: @unchecked Sendable {
  private var count = 0

  func next() -> Int {
    count += 1
    return count
  }
}
