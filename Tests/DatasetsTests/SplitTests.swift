import Datasets
import Store
import Testing

@Suite struct SplitTests {
  private static func labelled(_ counts: [Int]) -> String {
    counts.enumerated().flatMap { label, count in
      (0..<count).map { "{\"text\":\"row \(label) \($0)\",\"label\":\"label \(label)\"}\n" }
    }.shuffledBySeed().joined()
  }

  private static let shares = [
    SplitOptions.Share(name: "train", fraction: 0.7), .init(name: "dev", fraction: 0.2),
    .init(name: "test", fraction: 0.1),
  ]

  @Test(arguments: [false, true], [1 as UInt64, 2, 3])
  func `Every row is in exactly one split, and each has its share`(
    isStratified: Bool,
    seed: UInt64
  ) async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    let counts = [1, 2, 3, 7, 50, 137, 11, 4, 5]
    let original = try await store.importText("a.jsonl", Self.labelled(counts))
    var options = SplitOptions(shares: Self.shares, seed: seed)
    options.isStratified = isStratified
    let version = try await store.split("set", options)
    #expect(version.version == 2)
    #expect(version.parent == 1)
    #expect(version.splits.map(\.name) == ["dev", "test", "train"])

    var rows: [String] = []
    for split in ["train", "dev", "test"] { rows += try await store.rows("set@2", split) }
    #expect(rows.sorted() == (try await store.rows("set@1")).sorted())
    #expect(version.statistics.labels == original.statistics.labels)
    let total = Double(counts.reduce(0, +))
    for share in Self.shares {
      let statistics = try version.split(share.name).statistics
      // Rounding is carried from label to label, so that the whole is within some rows too.
      let tolerance = isStratified ? 2.0 : 1.0
      #expect(abs(Double(statistics.rows) - share.fraction * total) <= tolerance)
      guard isStratified else { continue }
      for (label, count) in counts.enumerated() {
        let found = Double(statistics.labels["label \(label)"] ?? 0)
        #expect(abs(found - share.fraction * Double(count)) < 1.0 + 1e-9, "\(label) \(share)")
      }
    }
    #expect(try store.inconsistencies().isEmpty)
  }

  @Test func `The same request makes the same version, another seed another one`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    _ = try await store.importText("a.jsonl", Self.labelled([100]))
    let first = try await store.split("set@1", SplitOptions(shares: Self.shares, seed: 1))
    let again = try await store.split("set@1", SplitOptions(shares: Self.shares, seed: 1))
    let other = try await store.split("set@1", SplitOptions(shares: Self.shares, seed: 2))
    #expect(first == again)
    #expect(other.version == 3)
    #expect(other.digest != first.digest)
    // Rows are shared, not copied: a split adds indexes only.
    #expect(try await store.rows("set@1").count == 100)
  }

  @Test func `Only the splits that are named are shared out`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    _ = try await store.importFiles([
      TestFile("train.jsonl", Self.labelled([40])),
      TestFile("test.jsonl", "{\"text\":\"t\",\"label\":\"x\"}", split: "test"),
    ])
    var options = SplitOptions(
      shares: [.init(name: "train", fraction: 0.75), .init(name: "dev", fraction: 0.25)],
      seed: 1
    )
    options.from = ["train"]
    let version = try await store.split("set", options)
    #expect(version.splits.map(\.name) == ["dev", "test", "train"])
    #expect(version.splits.map(\.statistics.rows) == [10, 1, 30])
    #expect(version.origin == "split set@1 from train random seed 1 train=0.75 dev=0.25")
    #expect(try await store.rows("set", "test") == [#"{"text":"t","label":"x"}"#])
  }

  @Test func `Token rows are stratified by their sets of entity types`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    let text = (0..<90).map { index in
      "\(index)\t\(["O", "B-PER", "B-LOC"][index % 3])\nx\tO\n\n"
    }.joined()
    _ = try await store.importText("a.conll", text)
    var options = SplitOptions(shares: Self.shares, seed: 5)
    options.isStratified = true
    let version = try await store.split("set", options)
    #expect(try version.split("dev").statistics.entities == ["PER": 6, "LOC": 6])
    #expect(try version.split("test").statistics.entities == ["PER": 3, "LOC": 3])
  }

  @Test func `Shares that do not fit are refused`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    _ = try await store.importFiles([
      TestFile("a.txt", "a\nb"), TestFile("b.txt", "c", split: "dev"),
    ])
    func refused(
      _ shares: [(String, Double)],
      _ change: (inout SplitOptions) -> Void = { _ in }
    )
      async throws -> DataError.Code
    {
      var options = SplitOptions(shares: shares.map { .init(name: $0.0, fraction: $0.1) }, seed: 1)
      change(&options)
      let fixed = options
      return try await failure { _ = try await store.split("set", fixed) }.code
    }
    #expect(try await refused([]) == .invalidArgument)
    #expect(try await refused([("a", 0.5)]) == .invalidArgument)
    #expect(try await refused([("a", 1.5), ("b", -0.5)]) == .invalidArgument)
    #expect(try await refused([("a", .nan)]) == .invalidArgument)
    #expect(try await refused([("a", 0.5), ("a", 0.5)]) == .invalidArgument)
    #expect(try await refused([("A", 1)]) == .invalidArgument)
    #expect(try await refused([("dev", 1)]) { $0.from = ["train"] } == .invalidArgument)
    #expect(try await refused([("a", 1)]) { $0.from = ["train", "train"] } == .invalidArgument)
    #expect(try await refused([("a", 1)]) { $0.from = ["ghost"] } == .notFound)
    #expect(try await refused([("a", 1)]) { $0.isStratified = true } == .invalidArgument)
    #expect(try await refused([("a", 0.999), ("b", 0.001)]) == .failedPrecondition)
    #expect(try store.inconsistencies().isEmpty)
  }
}

extension [String] {
  /// Mixed up, always in the same way.
  fileprivate func shuffledBySeed() -> [String] {
    var generator = TestGenerator(1)
    return shuffled(using: &generator)
  }
}
