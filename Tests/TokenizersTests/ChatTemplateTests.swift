import Foundation
import JSON
import Testing

@testable import Tokenizers

@Suite struct ChatTemplateTests {
  private static let config = Array(#"{"bos_token": "<s>", "eos_token": {"content": "</s>"}}"#.utf8)

  private func render(
    _ template: String,
    _ messages: [ChatMessage] = [],
    prompt: Bool = true
  ) throws -> String {
    let chat = try #require(try ChatTemplate(config: Self.config, chatTemplate: template))
    return try chat.render(messages, addGenerationPrompt: prompt)
  }

  @Test func rendersTheGoldenConversationsOfTheDemoModel() throws {
    let tokenizer = try Models.chat.get()
    let path = "\(Places.model("support-chat"))/golden.json"
    let golden = try JSONValue.read(Data(contentsOf: URL(filePath: path)))
    for conversation in golden["conversations"].elements {
      let messages = conversation["messages"].elements.map {
        ChatMessage(role: $0["role"].text, content: $0["content"].text)
      }
      let prompt = try tokenizer.renderChat(messages)
      #expect(prompt == conversation["prompt"].text)
      let options = EncodingOptions(addSpecialTokens: false)
      #expect(try tokenizer.encode(prompt, options: options).first?.ids == conversation["ids"].ids)
    }
  }

  @Test(
    .enabled(if: Places.hasPeers, "the Python peers are not installed (LLMOS_PEERS)"),
    arguments: [["cases"], ["random", "4000"]]
  )
  func rendersAndRefusesAsJinja2Does(source: [String]) throws {
    var unequal = 0
    for row in try Peer.lines("jinja.py", source) {
      let messages = row["messages"].elements.map {
        ChatMessage(role: $0["role"].text, content: $0["content"].text)
      }
      var expected = "an error"
      if case .string(let output) = row["output"] { expected = "rendered \(output)" }
      if case .string = row["refused"] { expected = "refused" }
      var result: String
      var cause = ""
      do {
        result =
          "rendered \(try render(row["template"].text, messages, prompt: row["prompt"].flag))"
      } catch let error as TokenizerError {
        result = error.code == .refusedByTemplate ? "refused" : "an error"
        cause = error.message
        #expect(cause.hasPrefix("chat template, line "))
      }
      if !result.isIdentical(expected) {
        unequal += 1
        if unequal <= 10 {
          Issue.record(
            """
            \(row["template"].text.debugDescription)
            ours \(result.debugDescription) \(cause)
            theirs \(expected.debugDescription) \(row["error"].text)
            """
          )
        }
      }
    }
    #expect(unequal == 0)
  }
}
