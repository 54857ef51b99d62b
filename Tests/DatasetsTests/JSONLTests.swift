import Datasets
import Store
import Testing

@Suite struct JSONLTests {
  @Test func `Each shape of object becomes its kind of row`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    let cases: [(String, RowKind, String)] = [
      (
        #"{"id": 1, "tokens": ["a", "b"], "ner_tags": ["B-X", "O"]}"#, .tokenClassification,
        #"{"tokens":["a","b"],"tags":["B-X","O"]}"#
      ),
      (
        #"{"text": "a \"b\"", "label": "x"}"#, .sequenceClassification,
        #"{"text":"a \"b\"","label":"x"}"#
      ),
      (#"{"text": "a", "label": 3}"#, .sequenceClassification, #"{"text":"a","label":"3"}"#),
      (
        #"{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]}"#,
        .chat,
        #"{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yo"}]}"#
      ),
      (
        #"{"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yo"}]}"#,
        .chat,
        #"{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yo"}]}"#
      ),
      (
        #"{"prompt": "hi", "completion": "yo"}"#, .chat,
        #"{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yo"}]}"#
      ),
      (#"{"text": "a\u0001\u00e9\n"}"#, .text, #"{"text":"a\u0001é\n"}"#),
    ]
    for (index, (line, kind, row)) in cases.enumerated() {
      let outcome = try await store.importFiles([TestFile("a.jsonl", line)], name: "set\(index)")
      #expect(outcome.version?.kind == kind, "\(outcome.badRows)")
      #expect(try await store.rows("set\(index)") == [row])
    }
  }

  @Test func `Numbers stand for given names`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    let text = #"{"tokens": ["a", "b"], "ner_tags": [1, 0]}"#
    _ = try await store.importText("a.jsonl", text) { $0.parsing.labelNames = ["O", "B-X"] }
    #expect(try await store.rows() == [#"{"tokens":["a","b"],"tags":["B-X","O"]}"#])
    #expect(
      try await store.badRows("a.jsonl", text)
        == ["1: tag 1 is a number: give the names of the labels"]
    )
    #expect(
      try await store.badRows("a.jsonl", text) { $0.parsing.labelNames = ["O"] }
        == ["1: label 1: there are 1 label names"]
    )
  }

  @Test func `Bad rows are listed by line with their reasons`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    let deep = String(repeating: "[", count: 100_000)
    let text = """
      {"text": "good", "label": "x"}
      {"text": "no label"}

      [1]
      {"text": "cut"
      {"text": "a", "text": "b", "label": "x"}
      {"text": " ", "label": "x"}
      {"text": "a", "label": ""}
      {"text": "a", "label": [1]}
      {"text": "a\\u0000", "label": "x"}
      {"tokens": ["a"], "tags": []}
      {"messages": [{"role": "user", "content": "hi"}]}
      {"messages": [{"role": "boss", "content": "hi"}]}
      {"words": 1, "other": 2}
      {"text": \(deep)
      {"text": "ok", "label": "y\\n"}
      """
    #expect(
      try await store.badRows("a.jsonl", text) == [
        "2: a row of kind text, where the dataset is sequence-classification",
        "4: an array, where an object was expected",
        "5: not JSON: it ends early at byte 14",
        #"6: not JSON: the key "text" is there twice at byte 14"#,
        "7: text is empty",
        "8: the label is empty",
        "9: label is an array, not a string or whole number",
        "10: it holds a NUL character",
        "11: 1 tokens but 0 tags",
        "12: no message of the assistant to learn from",
        #"13: message 0: role "boss" is not system, user, assistant or tool"#,
        "14: tokens is a number, not an array",
        "15: not JSON: nested deeper than 64 at byte 72",
        #"16: the label "y\n" has control characters"#,
      ]
    )
  }

  @Test func `The kind that is asked for decides what an object is`() async throws {
    let temporary = try TemporaryDatasets()
    let store = try temporary.open()
    let text = #"{"text": "a", "label": "x", "question": "q", "answer": "a"}"#
    _ = try await store.importText("a.jsonl", text) { $0.parsing.kind = .text }
    #expect(try await store.rows() == [#"{"text":"a"}"#])
    _ = try await store.importText("a.jsonl", text) {
      $0.parsing.kind = .chat
      $0.parsing.columns = [.prompt: "question", .completion: "answer"]
    }
    #expect(
      try await store.rows() == [
        #"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}"#
      ]
    )
    #expect(
      try await store.badRows("a.jsonl", text) { $0.parsing.kind = .tokenClassification }
        == ["1: it has no tokens; its keys are text, label, question, answer"]
    )
  }
}
