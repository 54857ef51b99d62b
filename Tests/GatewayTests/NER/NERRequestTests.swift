import Testing

@testable import Gateway

@Suite("NER request") struct NERRequestTests {
  private func request(_ json: String) throws -> NERRequest { try NERRequest(json: parse(json)) }

  @Test("has Hugging Face's defaults") func defaults() throws {
    let request = try request(#"{"model": "m", "inputs": "a"}"#)
    #expect(request.texts == ["a"] && !request.isList && request.aggregation == .simple)
    #expect(request.ignoreLabels == ["O"] && request.stride == nil)
  }

  @Test("takes lists and parameters") func parameters() throws {
    let request = try request(
      #"""
      {"model": "m", "inputs": ["a", ""], "parameters":
       {"aggregation_strategy": "max", "ignore_labels": [], "stride": 0}}
      """#
    )
    #expect(request.texts == ["a", ""] && request.isList && request.aggregation == .max)
    #expect(request.ignoreLabels == [] && request.stride == 0)
    let null = try self.request(#"{"model": "m", "inputs": ["a"], "parameters": null}"#)
    #expect(null.isList && null.aggregation == .simple)
  }

  @Test(
    "refuses a wrong field by name",
    arguments: [
      (#"{"inputs": "a"}"#, "model"), (#"{"model": "m"}"#, "inputs"),
      (#"{"model": "m", "inputs": []}"#, "inputs"), (#"{"model": "m", "inputs": 1}"#, "inputs"),
      (#"{"model": "m", "inputs": ["a", 1]}"#, "inputs[1]"),
      (#"{"model": "m", "inputs": ["a", "\u0000"]}"#, "inputs[1]"),
      (#"{"model": "m", "inputs": "a", "parameters": []}"#, "parameters"),
      (#"{"model": "m", "inputs": "a", "parameters": {"x": 1}}"#, "parameters.x"),
      (
        #"{"model": "m", "inputs": "a", "parameters": {"aggregation_strategy": "SIMPLE"}}"#,
        "parameters.aggregation_strategy"
      ),
      (
        #"{"model": "m", "inputs": "a", "parameters": {"ignore_labels": "O"}}"#,
        "parameters.ignore_labels"
      ),
      (
        #"{"model": "m", "inputs": "a", "parameters": {"ignore_labels": [1]}}"#,
        "parameters.ignore_labels[0]"
      ),
      (#"{"model": "m", "inputs": "a", "parameters": {"stride": -1}}"#, "parameters.stride"),
      (#"{"model": "m", "inputs": "a", "parameters": {"stride": 1.5}}"#, "parameters.stride"),
      (
        #"{"model": "m", "inputs": "a", "parameters": {"stride": 1, "aggregation_strategy": "none"}}"#,
        "parameters.stride"
      ),
    ]
  )
  func refused(_ json: String, _ parameter: String) throws {
    let error = #expect(throws: GatewayError.self) { try request(json) }
    #expect(error?.parameter == parameter)
    #expect(error?.status == 400)
  }

  @Test("refuses unknown fields and too many texts") func bounds() throws {
    let error = #expect(throws: GatewayError.self) { try request(#"{"model": "m", "text": "a"}"#) }
    #expect(error?.message == "Unrecognized request argument supplied: text")
    let texts = Array(repeating: #""a""#, count: NERRequest.Limits.textsMax + 1).joined(
      separator: ","
    )
    let many = #expect(throws: GatewayError.self) {
      try request(#"{"model":"m","inputs":[\#(texts)]}"#)
    }
    #expect(many?.reason == "array_above_max_length")
    let long = String(repeating: "a", count: NERRequest.Limits.textBytesMax + 1)
    let tooLong = #expect(throws: GatewayError.self) {
      try request(#"{"model": "m", "inputs": "\#(long)"}"#)
    }
    #expect(tooLong?.reason == "string_above_max_length")
  }
}

@Suite("NER response") struct NERResponseTests {
  private let entity = NEREntity(
    label: "PER",
    score: 0.5,
    index: nil,
    word: "a \"b\"",
    start: 1,
    end: 6
  )

  @Test("has the fields of transformers' pipeline in its order") func shape() {
    var token = entity
    token.label = "B-PER"
    token.index = 3
    let one = NERResponse.json([[entity]], isList: false)
    #expect(
      String(decoding: one, as: UTF8.self)
        == #"[{"entity_group":"PER","score":0.5,"word":"a \"b\"","start":1,"end":6}]"#
    )
    let several = NERResponse.json([[token], []], isList: true)
    #expect(
      String(decoding: several, as: UTF8.self)
        == #"[[{"entity":"B-PER","score":0.5,"index":3,"word":"a \"b\"","start":1,"end":6}],[]]"#
    )
    #expect(String(decoding: NERResponse.json([[]], isList: false), as: UTF8.self) == "[]")
  }

  @Test("prints a score as Python prints a float32") func score() {
    var entity = entity
    entity.score = 0.9990139603614807
    let json = String(decoding: NERResponse.json([[entity]], isList: false), as: UTF8.self)
    #expect(json.contains(#""score":0.9990139603614807,"#))
  }
}
