import Foundation
import HTTPTypes
import HummingbirdTesting
import RPC
import ServiceAPI
import Testing

@testable import Gateway

@Suite("Text classification") struct ClassifyTests {
  private func classify(
    _ gateway: TestGateway,
    _ inputs: String,
    _ parameters: String = "{}",
    model: String = "intents"
  ) async throws -> TestResponse {
    try await gateway.post(
      Route.classify.rawValue,
      #"{"model": "\#(model)", "inputs": \#(inputs), "parameters": \#(parameters)}"#
    )
  }

  private func request(_ json: String) throws -> ClassifyRequest {
    try ClassifyRequest(json: parse(json))
  }

  @Test("answers a list for a text and a list of lists for several") func shapes() async throws {
    try await TestGateway.run { gateway in
      func labels(_ text: String) -> String { #"[{"label":"\#(text)","score":0.5}]"# }
      #expect(try await classify(gateway, #""abc""#).text == labels("5"))
      #expect(try await classify(gateway, #"["abc"]"#).text == "[\(labels("5"))]")
      let several = try await classify(gateway, #"["abc", "", "vwxyz"]"#).text
      #expect(several == "[\(labels("5")),\(labels("2")),\(labels("7"))]")
      let asked = gateway.suite.asked
      #expect(asked.encoded.allSatisfy { $0.model == "intents@1" && $0.windowTokens == 12 })
      #expect(asked.encoded.allSatisfy { !$0.overflow })
      #expect(asked.scored.allSatisfy { $0.model == "intents@1" && $0.topK == 1 })
    }
  }

  @Test("cuts a long text after the model's context") func cuts() async throws {
    try await TestGateway.run { gateway in
      let text = String(repeating: "x", count: 30)
      let answer = try await classify(gateway, "\"\(text)\"").text
      #expect(answer == #"[{"label":"12","score":0.5}]"#)
    }
  }

  @Test("passes parameters on and splits many texts") func parameters() async throws {
    try await TestGateway.run { gateway in
      let texts = (0..<66).map { _ in "\"a\"" }.joined(separator: ",")
      let parameters = #"{"top_k": null, "function_to_apply": "none"}"#
      let answer = try await classify(gateway, "[\(texts)]", parameters)
      #expect(answer.status == .ok)
      let scored = gateway.suite.asked.scored
      #expect(scored.map(\.texts.count) == [64, 2])
      #expect(scored.allSatisfy { $0.topK == 0 && $0.scoreFunction == .none })
    }
  }

  @Test("has the pipeline's defaults") func defaults() throws {
    let plain = try request(#"{"model": "m", "inputs": "a"}"#)
    #expect(plain.texts == ["a"] && !plain.isList && plain.topK == 1 && plain.function == nil)
    let all = try request(#"{"model": "m", "inputs": ["a"], "parameters": {"top_k": null}}"#)
    #expect(all.isList && all.topK == nil)
    let two = try request(
      #"{"model": "m", "inputs": "a", "parameters": {"top_k": 2, "function_to_apply": "sigmoid"}}"#
    )
    #expect(two.topK == 2 && two.function == .sigmoid)
  }

  @Test(
    "refuses a wrong field by name",
    arguments: [
      (#"{"inputs": "a"}"#, "model"), (#"{"model": "m"}"#, "inputs"),
      (#"{"model": "m", "inputs": []}"#, "inputs"),
      (#"{"model": "m", "inputs": ["a", 1]}"#, "inputs[1]"),
      (#"{"model": "m", "inputs": {"text": "a"}}"#, "inputs"),
      (#"{"model": "m", "inputs": "\u0000"}"#, "inputs"),
      (#"{"model": "m", "inputs": "a", "parameters": 1}"#, "parameters"),
      (#"{"model": "m", "inputs": "a", "parameters": {"x": 1}}"#, "parameters.x"),
      (#"{"model": "m", "inputs": "a", "parameters": {"top_k": 0}}"#, "parameters.top_k"),
      (#"{"model": "m", "inputs": "a", "parameters": {"top_k": 1.5}}"#, "parameters.top_k"),
      (
        #"{"model": "m", "inputs": "a", "parameters": {"top_k": 18446744073709551616}}"#,
        "parameters.top_k"
      ),
      (
        #"{"model": "m", "inputs": "a", "parameters": {"function_to_apply": "SOFTMAX"}}"#,
        "parameters.function_to_apply"
      ),
    ]
  )
  func refused(_ json: String, _ parameter: String) throws {
    let error = #expect(throws: GatewayError.self) { try request(json) }
    #expect(error?.parameter == parameter)
    #expect(error?.status == 400)
  }

  @Test("another task's model is refused") func otherTask() async throws {
    try await TestGateway.run { gateway in
      let answer = try await classify(gateway, #""a""#, model: "ner")
      #expect(answer.status == .badRequest)
      #expect(gateway.suite.asked.encoded.isEmpty)
    }
  }
}
