import Datasets
import Foundation
import Store
import Testing

@Suite struct PermutationTests {
  @Test(arguments: [1, 2, 3, 4, 5, 63, 64, 65, 1_000, 65_537] as [UInt64])
  func `It is an order of all numbers`(count: UInt64) {
    for seed in 0..<3 as Range<UInt64> {
      let permutation = Permutation(count: count, seed: seed)
      #expect(Set((0..<count).map { permutation[$0] }).count == Int(count))
      #expect((0..<count).allSatisfy { permutation[$0] < count })
    }
  }

  @Test func `It is even: every number comes everywhere as often`() {
    // 4,000 seeds, 10 places, 10 numbers: 400 expected in each cell. Chi-square with 81 degrees of freedom
    // exceeds 140 once in 20,000 times.
    var cells = [Double](repeating: 0, count: 100)
    for seed in 0..<4_000 as Range<UInt64> {
      let permutation = Permutation(count: 10, seed: seed)
      for place in 0..<10 as Range<UInt64> { cells[Int(place * 10 + permutation[place])] += 1 }
    }
    let statistic = cells.reduce(0) { $0 + ($1 - 400) * ($1 - 400) / 400 }
    #expect(statistic < 140)
  }

  @Test func `It never changes, whatever the release`() {
    let permutation = Permutation(count: 10, seed: 42)
    #expect((0..<10).map { permutation[$0] } == PermutationTests.golden)
  }

  static let golden: [UInt64] = [8, 6, 2, 4, 0, 5, 3, 7, 9, 1]
}

@Suite struct ReadTests {
  private func filled(
    _ temporary: TemporaryDatasets,
    _ limits: DatasetLimits = DatasetLimits()
  ) async throws -> DatasetStore {
    let store = try temporary.open(limits)
    _ = try await store.importText("a.txt", (0..<1_000).map { "row \($0)\n" }.joined())
    return store
  }

  @Test func `Rows come in stored order, or shuffled by a seed`() async throws {
    let temporary = try TemporaryDatasets()
    var limits = DatasetLimits()
    limits.shardBytesMax = 1_000
    let store = try await filled(temporary, limits)
    let stored = try await store.rows()
    #expect(stored == (0..<1_000).map { "{\"text\":\"row \($0)\"}" })
    let first = try await store.rows(seed: 1)
    #expect(first.sorted() == stored.sorted())
    #expect(first != stored)
    #expect(first == (try await store.rows(seed: 1, batchRows: 7)))
    #expect(first != (try await store.rows(seed: 2)))
    #expect(try store.inconsistencies().isEmpty)
  }

  @Test func `A read resumes at any cursor`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try await filled(temporary)
    for seed in [nil, 9] as [UInt64?] {
      let all = try await store.rows(seed: seed)
      for cursor in [0, 1, 499, 999, 1_000] as [UInt64] {
        let rest = try await store.rows(seed: seed, cursor: cursor, batchRows: 33)
        #expect(rest == Array(all[Int(cursor)...]))
      }
    }
    let error = try await failure { _ = try await store.rows(cursor: 1_001) }
    #expect(error.code == .invalidArgument)
    var options = ReadOptions(split: "train")
    (options.cursor, options.rowsMax) = (990, 5)
    let reader = try await store.reader("set", options)
    #expect(try await reader.next()?.count == 5)
    #expect(try await reader.next() == nil)
  }

  @Test func `A batch ends at its bytes`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    let long = String(repeating: "x", count: 400_000)
    _ = try await store.importText("a.txt", (0..<7).map { "\($0)\(long)\n" }.joined())
    let reader = try await store.reader("set", ReadOptions(split: "train"))
    var counts: [Int] = []
    while let batch = try await reader.next() { counts.append(batch.count) }
    #expect(counts == [2, 2, 2, 1])
  }

  @Test func `References, splits and readers are checked`() async throws {
    let temporary = try TemporaryDatasets()
    var limits = DatasetLimits()
    limits.readersMax = 1
    let store = try await filled(temporary, limits)
    for (reference, split, code) in [
      ("ghost", "train", DataError.Code.notFound), ("set@2", "train", .notFound),
      ("set", "dev", .notFound), ("set@0", "train", .invalidArgument),
      ("set@x", "train", .invalidArgument), ("../set", "train", .invalidArgument),
    ] {
      let error = try await failure { _ = try await store.rows(reference, split) }
      #expect(error.code == code, "\(reference) \(split)")
    }
    let held = try await store.reader("set", ReadOptions(split: "train"))
    let error = try await failure { _ = try await store.rows() }
    #expect(error.code == .resourceExhausted)
    withExtendedLifetime(held) {}
  }

  @Test func `A damaged or missing shard is found out`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try await filled(temporary)
    let blobs = "\(temporary.directory)/blobs/sha256"
    let manager = FileManager.default
    let paths = try #require(manager.enumerator(atPath: blobs)).compactMap { $0 as? String }
    for path in paths.map({ "\(blobs)/\($0)" }) {
      var bytes = try? Data(contentsOf: URL(fileURLWithPath: path))
      guard let original = bytes, !original.starts(with: Data("llmosix1".utf8)) else { continue }
      bytes?[10] ^= 1
      try manager.removeItem(atPath: path)
      try bytes?.write(to: URL(fileURLWithPath: path))
      let error = try await failure { _ = try await store.rows() }
      #expect(error.code == .dataLoss)
      #expect(try store.inconsistencies().count == 1)
      // Importing the same file again repairs it.
      _ = try await store.importText("a.txt", (0..<1_000).map { "row \($0)\n" }.joined())
      #expect(try await store.rows().count == 1_000)
      try manager.removeItem(atPath: path)
      let missing = try await failure { _ = try await store.rows() }
      #expect(missing.code == .dataLoss)
    }
  }
}
