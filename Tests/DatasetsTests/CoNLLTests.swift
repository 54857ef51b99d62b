import Datasets
import Store
import Testing

@Suite struct CoNLLTests {
  @Test(arguments: [1, 2, 7, 1 << 20])
  func `Sentences become rows, in pieces of any size`(pieceBytes: Int) async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    let text = """
      -DOCSTART- -X- -X- O\r
      \r
      EU NNP I-NP B-ORG\r
      rejects VBZ I-VP O\r

      Peter NNP I-NP B-PER
      Blackburn NNP I-NP I-PER
      """
    let version = try await store.importText("a.conll", text, pieceBytes: pieceBytes)
    #expect(version.kind == .tokenClassification)
    #expect(version.tagScheme == .iob2)
    #expect(
      try await store.rows() == [
        #"{"tokens":["EU","rejects"],"tags":["B-ORG","O"]}"#,
        #"{"tokens":["Peter","Blackburn"],"tags":["B-PER","I-PER"]}"#,
      ]
    )
    let statistics = version.statistics
    #expect(statistics.rows == 2)
    #expect(statistics.tokens == 4)
    #expect(statistics.labels == ["O": 1, "B-ORG": 1, "B-PER": 1, "I-PER": 1])
    #expect(statistics.entities == ["ORG": 1, "PER": 1])
    #expect(statistics.lengths.max == 2)
  }

  @Test func `Tokens may hold spaces where columns are tabs, and blank lines white space`()
    async throws
  {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    _ = try await store.importText("a.conll", "New York\tB-LOC\n\t\n#\tO\n \n\n")
    #expect(
      try await store.rows() == [
        #"{"tokens":["New York"],"tags":["B-LOC"]}"#, ##"{"tokens":["#"],"tags":["O"]}"##,
      ]
    )
  }

  @Test(arguments: [
    (TagScheme.iob1, "I-PER I-PER B-PER O I-LOC I-ORG"),
    (.iob2, "B-PER I-PER B-PER O B-LOC B-ORG"),
    (.iobes, "B-PER E-PER S-PER O S-LOC S-ORG"),
    (.bilou, "B-PER L-PER U-PER O U-LOC U-ORG"),
  ])
  func `Every scheme is found out and becomes IOB2`(scheme: TagScheme, tags: String) async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    let lines = tags.split(separator: " ").map { "x \($0)\n" }.joined()
    let version = try await store.importText("a.conll", lines)
    #expect(version.tagScheme == scheme)
    #expect(
      try await store.rows() == [
        #"{"tokens":["x","x","x","x","x","x"],"#
          + #""tags":["B-PER","I-PER","B-PER","O","B-LOC","B-ORG"]}"#
      ]
    )
    #expect(version.statistics.entities == ["PER": 2, "LOC": 1, "ORG": 1])
  }

  @Test func `Rows of conflicting schemes are refused, naming the lines`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    // IOB2 by the first row (B- at a start), IOB1 by the second (I- after O).
    let text = "x B-PER\n\ny O\nz I-LOC\n"
    let error = try await failure { _ = try await store.importText("a.conll", text) }
    #expect(error.code == .failedPrecondition)
    #expect(error.message.contains("not IOB2 (a.conll:3: I-LOC after O)"))
    #expect(error.message.contains("not IOB1 (a.conll:1: B-PER at the start)"))
    #expect(try await store.list().isEmpty)

    let bad = try await store.badRows("a.conll", text) { $0.tagScheme = .iob2 }
    #expect(bad == ["3: not IOB2: I-LOC after O"])
    let skipped = try await store.importFiles([TestFile("a.conll", text)]) {
      ($0.tagScheme, $0.badRows) = (.iob2, .skip)
    }
    #expect(skipped.version?.statistics.rows == 1)
    #expect(skipped.version?.badRows == 1)
    #expect(skipped.badRowsTotal == 1)
  }

  @Test func `Bad rows are listed by line with their reasons, and the import fails`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    let text = """
      a O
      b
      c O

      d X O

      e O

      f XYZ

      g B-

      h O-PER
      """
    #expect(
      try await store.badRows("a.conll", text) == [
        "2: one column; a token and a tag are needed",
        "5: 3 columns, where the lines before have 2",
        #"9: tag "XYZ" is none of O, B-…, I-…, E-…, S-…, L-…, U-…; "#
          + "tags that mark no chunks need the scheme plain",
        #"11: tag "B-" is none of O, B-…, I-…, E-…, S-…, L-…, U-…; "#
          + "tags that mark no chunks need the scheme plain",
        #"13: tag "O-PER" is none of O, B-…, I-…, E-…, S-…, L-…, U-…; "#
          + "tags that mark no chunks need the scheme plain",
      ]
    )
  }

  @Test func `Columns are chosen by number, and plain tags are kept`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    let version = try await store.importText("a.conll", "1 the DT\n2 cat NN\n") {
      $0.parsing.columns = [.tokens: "1", .tags: "-1"]
      $0.tagScheme = .plain
    }
    #expect(version.tagScheme == .plain)
    #expect(version.statistics.entities.isEmpty)
    #expect(try await store.rows() == [#"{"tokens":["the","cat"],"tags":["DT","NN"]}"#])
    let error = try await failure {
      _ = try await store.importText("a.conll", "a O\n") { $0.parsing.columns = [.tags: "ner"] }
    }
    #expect(error.code == .invalidArgument)
  }
}
