import Datasets
import Testing

@Suite(.enabled(if: SharedData.isPresent, "needs the folder of shared data (LLMOS_SHARED)"))
struct RealDataTests {
  @Test func `WikiANN is imported whole, with its three splits`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    let files = try ["train", "dev", "test"].map {
      try TestFile(path: "\(SharedData.folder)/wikiann-en/\($0).conll", split: $0)
    }
    let outcome = try await store.importFiles(files)
    let version = try #require(outcome.version, "\(outcome.badRows)")
    #expect(version.tagScheme == .iob2)
    #expect(version.splits.map(\.statistics.rows) == [10_000, 10_000, 20_000])
    #expect(version.statistics.entities.keys.sorted() == ["LOC", "ORG", "PER"])
    let lines = files[0].bytes.split(separator: 0x0A).count
    #expect(Int(try version.split("train").statistics.tokens) == lines)
    #expect(try store.inconsistencies().isEmpty)
  }

  @Test func `WNUT-17 is imported whole, with hyphens in its types`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    let files = try ["train", "dev", "test"].map {
      try TestFile(path: "\(SharedData.folder)/wnut17/\($0).conll", split: $0)
    }
    let outcome = try await store.importFiles(files)
    let version = try #require(outcome.version, "\(outcome.badRows)")
    #expect(version.splits.map(\.statistics.rows) == [1_009, 1_287, 3_394])
    #expect(
      version.statistics.entities.keys.sorted() == [
        "corporation", "creative-work", "group", "location", "person", "product",
      ]
    )
  }

  @Test func `Banking77 is imported whole and split by its 77 intents`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    let outcome = try await store.importFiles([
      try TestFile(path: "\(SharedData.folder)/banking77/train.csv", split: "train"),
      try TestFile(path: "\(SharedData.folder)/banking77/test.csv", split: "test"),
    ])
    let version = try #require(outcome.version, "\(outcome.badRows)")
    #expect(version.splits.map(\.statistics.rows) == [3_080, 10_003])
    #expect(version.statistics.labels.count == 77)
    var options = SplitOptions(
      shares: [.init(name: "train", fraction: 0.9), .init(name: "dev", fraction: 0.1)],
      seed: 7
    )
    (options.from, options.isStratified) = (["train"], true)
    let split = try await store.split("set", options)
    let train = try version.split("train").statistics.labels
    let dev = try split.split("dev").statistics.labels
    for (label, count) in train {
      #expect(abs(Double(dev[label] ?? 0) - 0.1 * Double(count)) < 1, "\(label)")
    }
    #expect(abs(Int(try split.split("dev").statistics.rows) - 1_000) <= 2)
  }

  @Test func `Tiny Shakespeare is imported line by line and by paragraph`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    let file = try TestFile(path: "\(SharedData.folder)/tinyshakespeare/input.txt", split: "train")
    let lines = try await store.importFiles([file]).version
    #expect(lines?.statistics.rows == 32_777)
    let paragraphs = try await store.importFiles([file]) {
      $0.parsing.textUnit = .paragraph
    }.version
    #expect(paragraphs?.statistics.rows == 7_222)
    #expect(paragraphs?.statistics.tokens == lines?.statistics.tokens)
  }
}
