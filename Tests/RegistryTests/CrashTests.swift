import Foundation
import Registry
import Store
import Testing

/// A process that imports is killed; what it leaves is opened again.
@Suite(.serialized) struct CrashTests {
  /// Steps of one import of the folder in `killed(at:)`: begun, 3 copies, validated, 3 blobs, version built,
  /// placed, committed, cleaned.
  static let stepCount = 12

  @Test(arguments: 1...stepCount)
  func `Killed at any step, the store is in the state before or after the import`(
    step: Int
  ) async throws {
    let temporary = try TemporaryStore()
    let before = try await temporary.importOnce()
    let folder = try temporary.folder("tiny", weights: "two", more: ["tokenizer.json": "[]"])
    let store = temporary.store
    await #expect(processExitsWith: .signal(SIGKILL)) {
      [folder = folder as String, store = store as String, step = step as Int] in
      try await ImportingProcess.run(folder: folder, store: store, killAtStep: step)
    }

    let registry = try temporary.open()
    #expect(try registry.inconsistencies().isEmpty)
    let versions = try await registry.listModels()
    let isCommitted = step >= Self.stepCount - 1
    #expect(versions.map(\.version) == (isCommitted ? [1, 2] : [1]))
    #expect(versions.first == before)
    #expect(registry.swept.isEmpty == (step == Self.stepCount))
    #expect(try await registry.importModel(folder: folder).version.version == 2)
    #expect(try registry.inconsistencies().isEmpty)
  }

  @Test(arguments: 0..<8)
  func `Killed at a random moment, the store is consistent and goes on`(round: Int) async throws {
    let temporary = try TemporaryStore()
    let before = try await temporary.importOnce()
    let microseconds = Int.random(in: 0..<60_000)
    let (root, store) = (temporary.root, temporary.store)
    await #expect(processExitsWith: .signal(SIGKILL), "after \(microseconds) µs") {
      [root = root as String, store = store as String, microseconds = microseconds as Int] in
      try await ImportingProcess.run(root: root, store: store, killAfter: microseconds)
    }

    let registry = try temporary.open()
    #expect(try registry.inconsistencies().isEmpty, "after \(microseconds) µs")
    let versions = try await registry.listModels()
    #expect(versions.first == before)
    let numbers = versions.map { Int($0.version) }
    #expect(numbers == Array(1...numbers.count))
    let next = try await registry.importModel(folder: temporary.folder("tiny", weights: "next"))
    #expect(Int(next.version.version) == numbers.count + 1)
  }
}

extension TemporaryStore {
  /// Imports one version and closes the store.
  fileprivate func importOnce() async throws -> ModelVersion {
    let registry = try open()
    let version = try await registry.importModel(folder: folder("tiny", weights: "one")).version
    try await registry.close()
    return version
  }
}

/// What runs in the process that is killed.
private enum ImportingProcess {
  static func run(folder: String, store: String, killAtStep step: Int) async throws {
    let steps = StepCounter()
    let registry = try ModelRegistry(
      directory: store,
      inspector: .accepting,
      onStep: { _ in if steps.next() == step { kill(getpid(), SIGKILL) } }
    )
    _ = try await registry.importModel(folder: folder)
  }

  /// Imports new content again and again until it is killed.
  static func run(root: String, store: String, killAfter microseconds: Int) async throws {
    let registry = try ModelRegistry(directory: store, inspector: .accepting)
    DispatchQueue.global().asyncAfter(deadline: .now() + .microseconds(microseconds)) {
      kill(getpid(), SIGKILL)
    }
    let folder = "\(root)/tiny"
    for number in 0..<1_000_000 {
      let weights = String(repeating: "weights \(number) ", count: 50_000)
      try write(weights, to: "\(folder)/model.safetensors")
      _ = try await registry.importModel(folder: folder)
    }
  }
}

/// Counts the steps; only the import's thread uses it, one step after another.
private final class StepCounter: @unchecked Sendable {
  private var count = 0

  func next() -> Int {
    count += 1
    return count
  }
}
