import Foundation
import HTTPTypes
import HummingbirdTesting
import RPC
import ServiceAPI
import Testing

@testable import Gateway

@Suite("NER") struct NERTests {
  private func ner(
    _ gateway: TestGateway,
    _ inputs: String,
    _ parameters: String = "{}",
    model: String = "ner"
  ) async throws -> TestResponse {
    try await gateway.post(
      Route.ner.rawValue,
      #"{"model": "\#(model)", "inputs": \#(inputs), "parameters": \#(parameters)}"#
    )
  }

  @Test("answers a list for a text and a list of lists for several") func shapes() async throws {
    try await TestGateway.run { gateway in
      func entity(_ word: String) -> String {
        #"{"entity_group":"PER","score":0.5,"word":"\#(word)","start":0,"end":1}"#
      }
      let one = try await ner(gateway, #""abc""#).text
      #expect(one == "[\(entity("a"))]")
      let listed = try await ner(gateway, #"["abc"]"#).text
      #expect(listed == "[[\(entity("a"))]]")
      let several = try await ner(gateway, #"["abc", "", "xyz"]"#).text
      #expect(several == "[[\(entity("a"))],[],[\(entity("x"))]]")
      let tokens = try await ner(gateway, #""abc""#, #"{"aggregation_strategy": "none"}"#).text
      #expect(
        tokens == #"[{"entity":"B-PER","score":0.5,"index":1,"word":"a","start":0,"end":1}]"#
      )
    }
  }

  @Test("an empty text has no entities and costs no call") func empty() async throws {
    try await TestGateway.run { gateway in
      let one = try await ner(gateway, #""""#).text
      let several = try await ner(gateway, #"["", ""]"#).text
      #expect(one == "[]" && several == "[[],[]]")
      #expect(gateway.suite.asked.encoded.isEmpty && gateway.suite.asked.classified.isEmpty)
    }
  }

  @Test(
    "passes parameters on",
    arguments: [
      ("{}", ["O"]), (#"{"ignore_labels": ["O", "PER"]}"#, ["O", "PER"]),
      (#"{"ignore_labels": []}"#, [""]),
    ]
  )
  func labels(_ parameters: String, _ labels: [String]) async throws {
    try await TestGateway.run { gateway in
      _ = try await ner(gateway, #""abc""#, parameters)
      let request = try #require(gateway.suite.asked.classified.first)
      #expect(request.ignoreLabels == labels && request.aggregationStrategy == .simple)
      #expect(request.model == "ner@1" && request.texts.map(\.text) == ["abc"])
      #expect(request.texts[0].windows[0].tokens == ["[CLS]", "a", "b", "c", "[SEP]"])
      #expect(request.texts[0].windows[0].special == [true, false, false, false, true])
    }
  }

  @Test("cuts a long text without stride and reads it in windows with one") func windows()
    async throws
  {
    try await TestGateway.run { gateway in
      let text = #""\#(String(repeating: "x", count: 30))""#
      _ = try await ner(gateway, text)
      _ = try await ner(gateway, text, #"{"stride": 4}"#)
      _ = try await ner(gateway, text, #"{"stride": 0}"#)
      let windows = gateway.suite.asked.classified.map { $0.texts[0].windows.map(\.ids.count) }
      #expect(windows == [[12], [12, 12, 12, 12, 8], [12, 12, 12]])
      let encoded = gateway.suite.asked.encoded
      #expect(encoded.allSatisfy { $0.windowTokens == 12 })
      #expect(encoded.map(\.overflow) == [false, false, true, false, true])
      #expect(encoded.map(\.strideTokens) == [0, 0, 4, 0, 0])
    }
  }

  @Test("asks once for a text that fits, stride or not") func fits() async throws {
    try await TestGateway.run { gateway in
      _ = try await ner(gateway, #""abc""#, #"{"stride": 4}"#)
      #expect(gateway.suite.asked.encoded.count == 1)
    }
  }

  @Test("bounds the windows that a stride makes") func amplification() async throws {
    try await TestGateway.run { gateway in
      let wide = try await ner(gateway, #""a""#, #"{"stride": 12}"#)
      #expect(wide.status == .badRequest && wide.error("param") == "parameters.stride")
      let text = #"["a", "\#(String(repeating: "x", count: 20_000))"]"#
      let full = try await ner(gateway, text, #"{"stride": 10}"#)
      #expect(full.status == .badRequest && full.error("param") == "parameters.stride")
      let many = try await ner(gateway, text, #"{"stride": 9}"#)
      #expect(many.status == .badRequest && many.error("param") == "inputs[1]")
      #expect(gateway.suite.asked.classified.isEmpty)
    }
  }

  @Test("keeps many texts in order, in calls of bounded size") func many() async throws {
    try await TestGateway.run(adjust: { $0.limits.callBytesMax = 500 }) { gateway in
      let letters = (0..<30).map { String(Character(Unicode.Scalar(UInt8(97 + $0 % 26)))) }
      let inputs = letters.map { #""\#(String(repeating: $0, count: 40))""# }.joined(
        separator: ","
      )
      let response = try await ner(gateway, "[\(inputs)]")
      #expect(response.status == .ok)
      let words = response.text.components(separatedBy: #""word":""#).dropFirst().map {
        String($0.prefix(1))
      }
      #expect(words == letters)
      #expect(gateway.suite.asked.classified.count > 1)
    }
  }

  @Test("refuses a chat model, an unknown one and too much text") func refused() async throws {
    try await TestGateway.run { gateway in
      let chat = try await ner(gateway, #""a""#, model: "chat")
      #expect(chat.status == .badRequest && chat.error("param") == "model")
      #expect(chat.error("message")?.contains("'chat' is for text-generation") == true)
      let unknown = try await ner(gateway, #""""#, model: "nobody")
      #expect(unknown.status == .notFound && unknown.error("code") == "model_not_found")
    }
  }
}
