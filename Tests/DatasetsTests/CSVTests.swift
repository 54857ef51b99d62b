import Datasets
import Store
import Testing

@Suite struct CSVTests {
  @Test(arguments: [1, 3, 1 << 20])
  func `Quotes, line breaks in quotes and both line ends are read`(pieceBytes: Int) async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    let text =
      "\u{FEFF}id,\"text\",category\r\n1,\"a, \"\"b\"\"\r\nc\",x\r\n2, d \"e\" ,\"y\"\n\n3,\"f\",x"
    let version = try await store.importText("a.csv", text, pieceBytes: pieceBytes)
    #expect(version.kind == .sequenceClassification)
    #expect(version.statistics.labels == ["x": 2, "y": 1])
    #expect(
      try await store.rows() == [
        #"{"text":"a, \"b\"\r\nc","label":"x"}"#, #"{"text":" d \"e\" ","label":"y"}"#,
        #"{"text":"f","label":"x"}"#,
      ]
    )
  }

  @Test func `Columns are found by usual names, or by those given`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    _ = try await store.importText("a.tsv", "Sentence\tIntent\na \"b\"\tx\n")
    #expect(try await store.rows() == [#"{"text":"a \"b\"","label":"x"}"#])
    _ = try await store.importText("a.csv", "foo,bar\na,x\n") {
      $0.parsing.columns = [.text: "bar"]
    }
    #expect(try await store.rows() == [#"{"text":"x"}"#])
    _ = try await store.importText("a.csv", "prompt,completion\nhi,yo\n")
    #expect(
      try await store.rows() == [
        #"{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yo"}]}"#
      ]
    )
    for (text, columns, reason) in [
      ("foo,bar\na,x\n", [:], "no column for text among foo, bar; name it"),
      ("text,label\na,x\n", [ColumnRole.label: "kind"], "no column for label among text, label"),
      ("text,text\na,x\n", [:], "column \"text\" is there twice"),
    ] {
      let error = try await failure {
        _ = try await store.importText("a.csv", text) { $0.parsing.columns = columns }
      }
      #expect(error.code == .invalidArgument)
      #expect(error.message.contains("a.csv: line 1: header: \(reason)"))
    }
  }

  @Test func `Bad records are listed by the line where they start`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    let text = """
      text,label
      "two
      lines",x
      a,b,c
      "a"b,c
      ,x
      a
      "open,x
      b,y
      """
    #expect(
      try await store.badRows("a.csv", text) == [
        "4: 3 columns, where the header has 2", "5: text after a closing quote",
        "6: text is empty", "7: 1 columns, where the header has 2",
        "8: a quote is opened and never closed",
      ]
    )
    let error = try await failure { _ = try await store.importText("a.csv", "") }
    #expect(error.code == .failedPrecondition)
  }
}

@Suite struct PlainTextTests {
  @Test func `Lines or paragraphs become rows; blank ones do not`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    let text = "one\r\n two \n\n \nthree"
    _ = try await store.importText("a.txt", text)
    #expect(
      try await store.rows() == [#"{"text":"one"}"#, #"{"text":" two "}"#, #"{"text":"three"}"#]
    )
    let version = try await store.importText("a.txt", text) { $0.parsing.textUnit = .paragraph }
    #expect(try await store.rows() == [#"{"text":"one\n two "}"#, #"{"text":"three"}"#])
    #expect(version.version == 2)
    #expect(version.parent == 1)
  }
}
