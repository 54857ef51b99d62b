import Datasets
import Store
import Testing

@Suite struct VersionTests {
  @Test func `Versions have a parent, a digest that sha256sum prints, and never change`()
    async throws
  {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    let first = try await store.importText("a.txt", "a\nb\n")
    // printf '{"text":"a"}\n{"text":"b"}\n' | sha256sum; then that line with "train" hashed again.
    #expect(
      first.splits[0].sha256 == "22531915296e663c96ec5a359918921a1f0272bd4a82d796ecf258ace8ed9836"
    )
    #expect(first.parent == nil)
    let same = try await store.importFiles([TestFile("b.txt", "a\r\nb")])
    #expect(same.version == first)
    #expect(!same.isNew)
    let second = try await store.importText("a.txt", "a\nb\nc\n")
    #expect(second.version == 2)
    #expect(second.parent == 1)
    #expect(second.digest != first.digest)
    #expect(try await store.resolve("set@1") == first)
    #expect(try await store.resolve("set") == second)
    #expect(try await store.list().map(\.reference) == ["set@1", "set@2"])
    #expect(store.counters.importsAdded == 2)
    #expect(store.counters.importsUnchanged == 1)
  }

  @Test func `Versions are there after a restart, and nothing else`() async throws {
    let temporary = try TemporaryDatasets()
    do {
      let store = try temporary.open()
      _ = try await store.importText("a.conll", "a B-X\nb O\n")
      try await store.store.close()
    }
    let store = try temporary.open()
    #expect(store.store.swept.isEmpty)
    let version = try await store.resolve("set")
    #expect(version.statistics.entities == ["X": 1])
    #expect(version.tagScheme == .iob2)
    #expect(try await store.rows().count == 1)
    #expect(try store.inconsistencies().isEmpty)
  }

  @Test func `Files become the splits they are given for`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    let outcome = try await store.importFiles([
      TestFile("a.txt", "a\n", split: "train"), TestFile("b.txt", "b\n", split: "dev"),
      TestFile("c.txt", "c\n", split: "train"),
    ])
    #expect(outcome.version?.splits.map(\.name) == ["dev", "train"])
    #expect(try await store.rows() == [#"{"text":"a"}"#, #"{"text":"c"}"#])
    #expect(outcome.version?.origin == "import a.txt b.txt c.txt")
  }

  @Test func `A deleted version is gone, its number is not used again`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    _ = try await store.importText("a.txt", "a\n")
    _ = try await store.importText("a.txt", "b\n")
    let error = try await failure { try await store.delete("set") }
    #expect(error.code == .invalidArgument)
    try await store.delete("set@2")
    #expect(try await store.resolve("set").version == 1)
    #expect(try await store.importText("a.txt", "c\n").version == 3)
    try await store.store.close()
  }

  @Test(arguments: [4, 1 << 20])
  func `A difference counts rows that came, went, stayed and moved`(atOnce: Int) async throws {
    let temporary = try TemporaryDatasets()
    var limits = DatasetLimits()
    limits.differenceRowsMax = atOnce
    let store = try temporary.open(limits)
    func row(_ text: String, _ label: String) -> String {
      "{\"text\":\"\(text)\",\"label\":\"\(label)\"}\n"
    }
    _ = try await store.importFiles([
      TestFile(
        "a.jsonl",
        row("a", "x") + row("b", "x") + row("c", "x") + row("c", "x") + row("d", "y")
      )
    ])
    _ = try await store.importFiles([
      TestFile("a.jsonl", row("a", "x") + row("c", "x") + row("e", "z")),
      TestFile("b.jsonl", row("b", "x"), split: "dev"),
    ])
    let difference = try await store.difference(from: "set@1", to: "set@2", rowsMax: 5)
    #expect(difference.added == 1)
    #expect(difference.removed == 2)
    #expect(difference.unchanged == 3)
    #expect(difference.moved == 1)
    #expect(difference.labelsAdded == ["z"])
    #expect(difference.labelsRemoved == ["y"])
    #expect(
      difference.addedRows.map { String(decoding: $0, as: UTF8.self) }
        == [#"{"text":"e","label":"z"}"#]
    )
    #expect(
      difference.removedRows.map { String(decoding: $0, as: UTF8.self) }.sorted()
        == [#"{"text":"c","label":"x"}"#, #"{"text":"d","label":"y"}"#]
    )
    let none = try await store.difference(from: "set@2", to: "set@2")
    #expect(none.added + none.removed + none.moved == 0)
    #expect(none.unchanged == 4)
  }
}
